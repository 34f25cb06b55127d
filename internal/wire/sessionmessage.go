package wire

import (
	"encoding/binary"
	"math"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/runtime/protoiface"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// SessionMessage is the frame of a session that carries a message.
type SessionMessage struct {
	SessionHead

	// Content is the message. If a decoded message has unusual fields, Content is empty and the
	// message is in Encoded.
	Content Request

	given bool // the message was decoded
}

// SessionHead has the fields of the frame beside a usual message.
type SessionHead struct {
	Seq, Taken uint64
	// Timeout is 0 if the frame has none. Heartbeat is 0 for the default.
	Timeout, Heartbeat time.Duration
	Mode               pb.SessionMode
	// Encoded is a message with unusual fields, still encoded.
	Encoded []byte
	// Path is the method of a typed message, and Request its request. Path is empty for a dynamic
	// message.
	Path    string
	Request []byte
	Headers map[string][]string
}

// These are the numbers of the fields of frames.
const (
	frameMessage protowire.Number = 2

	sessionSeq       protowire.Number = 1
	sessionTaken     protowire.Number = 2
	sessionTimeout   protowire.Number = 3
	sessionMode      protowire.Number = 4
	sessionMessage   protowire.Number = 5
	sessionPath      protowire.Number = 6
	sessionRequest   protowire.Number = 7
	sessionHeartbeat protowire.Number = 8
	sessionHeaders   protowire.Number = 9

	headerName  protowire.Number = 1
	headerValue protowire.Number = 2
)

// fixedSize is the size of a field that is a fixed64.
const fixedSize = tagSize + 8

// SessionMark is an encoded frame with a message. Set fills in its numbers before it is sent.
type SessionMark struct {
	// Bytes are the frame.
	Bytes []byte

	seq int // where its seq is
}

// Set sets seq and taken in the frame.
func (m SessionMark) Set(seq, taken uint64) {
	binary.LittleEndian.PutUint64(m.Bytes[m.seq:], seq)
	binary.LittleEndian.PutUint64(m.Bytes[m.seq+fixedSize:], taken)
}

// Append appends the frame to a buffer. Request is the request of a typed message, which replaces
// m.Request; nil for none. It returns false if the message cannot be encoded.
func (m *SessionMessage) Append(b []byte, request proto.Message) (SessionMark, bool) {
	r := &m.Content
	if !r.isUTF8() || !utf8.ValidString(m.Path) {
		return SessionMark{}, false
	}
	s := r.sizes()
	typed := 0
	if m.Path != "" {
		typed = proto.Size(request)
	}
	b = appendHead(b, frameMessage, m.size(s, typed))
	b = protowire.AppendTag(b, sessionSeq, protowire.Fixed64Type)
	mark := SessionMark{seq: len(b)}
	b = protowire.AppendFixed64(b, m.Seq)
	b = protowire.AppendFixed64(protowire.AppendTag(b, sessionTaken, protowire.Fixed64Type), m.Taken)
	b = appendNumber(b, sessionTimeout, uint64(m.Timeout)) //nolint:gosec // It is not negative.
	b = appendNumber(b, sessionMode, uint64(m.Mode))       //nolint:gosec // It is not negative.
	b = r.appendMessage(appendHead(b, sessionMessage, s.message), s)
	b = text{sessionPath, m.Path}.append(b)
	if m.Path != "" {
		var err error
		b = appendHead(b, sessionRequest, typed)
		if b, err = (proto.MarshalOptions{UseCachedSize: true}).MarshalAppend(b, request); err != nil {
			return SessionMark{}, false
		}
	}
	b = appendNumber(b, sessionHeartbeat, uint64(m.Heartbeat)) //nolint:gosec // It is not negative.
	mark.Bytes = m.appendHeaders(b)
	return mark, true
}

// size returns the size of the frame's content. Typed is the size of the typed request.
func (m *SessionMessage) size(s sizes, typed int) int {
	n := 2*fixedSize + numberSize(uint64(m.Timeout)) + numberSize(uint64(m.Mode)) + numberSize(uint64(m.Heartbeat)) + fieldSize(s.message) //nolint:gosec // They are not negative.
	if m.Path != "" {
		n += text{sessionPath, m.Path}.size() + fieldSize(typed)
	}
	for name, values := range m.Headers {
		for _, value := range values {
			n += fieldSize(headerSize(name, value))
		}
	}
	return n
}

func headerSize(name, value string) int { return fieldSize(len(name)) + fieldSize(len(value)) }

func (m *SessionMessage) appendHeaders(b []byte) []byte {
	for name, values := range m.Headers {
		for _, value := range values {
			b = appendHead(b, sessionHeaders, headerSize(name, value))
			b = append(appendHead(b, headerName, len(name)), name...)
			b = append(appendHead(b, headerValue, len(value)), value...)
		}
	}
	return b
}

// numberSize returns the size of a number field. A 0 is not encoded.
func numberSize(n uint64) int {
	if n == 0 {
		return 0
	}
	return tagSize + protowire.SizeVarint(n)
}

func appendNumber(b []byte, number protowire.Number, n uint64) []byte {
	if n == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), n)
}

// SessionRequest is a received frame of a client.
type SessionRequest struct {
	message

	// Message is the decoded frame, unless Other is set.
	Message SessionMessage
	// Other is the decoded frame if it has no message.
	Other *pb.SessionRequest
	// Size is the size of the frame, in bytes.
	Size int
}

var sessionRequestMethods = protoiface.Methods{Unmarshal: unmarshalSessionRequest, CheckInitialized: nothingRequired}

// Reset empties the frame.
func (r *SessionRequest) Reset() { *r = SessionRequest{message: emptyFrame} }

// ProtoReflect returns the frame in the form that package proto uses.
func (r *SessionRequest) ProtoReflect() protoreflect.Message { return r }

// Interface returns the frame.
func (r *SessionRequest) Interface() protoreflect.ProtoMessage { return r }

// ProtoMethods returns the function that decodes the frame.
func (r *SessionRequest) ProtoMethods() *protoiface.Methods { return &sessionRequestMethods }

func unmarshalSessionRequest(in protoiface.UnmarshalInput) (protoiface.UnmarshalOutput, error) {
	return protoiface.UnmarshalOutput{Flags: protoiface.UnmarshalInitialized}, in.Message.(*SessionRequest).decodeFrame(in.Buf)
}

// decodeFrame implements [Decoder].
func (r *SessionRequest) decodeFrame(b []byte) error {
	r.Size = len(b)
	if err := tooLong(b); err != nil {
		return err
	}
	if content, ok := only(b, frameMessage); ok {
		if !r.Message.decode(content) {
			return errMalformed
		}
		return nil
	}
	r.Other = &pb.SessionRequest{}
	if err := unmarshal(b, r.Other); err != nil || r.Other.GetMessage() != nil || r.Other.GetMore() != nil {
		return errMalformed
	}
	return nil
}

// decode decodes a message. It returns false if the frame is malformed. It ignores unknown fields.
func (m *SessionMessage) decode(b []byte) (ok bool) {
	for len(b) > 0 {
		var p part
		if p, b, ok = split(b); !ok || !m.take(&p) {
			return false
		}
	}
	return m.Seq != 0
}

// take stores a decoded field.
func (m *SessionMessage) take(p *part) bool {
	switch p.kind {
	case protowire.Fixed64Type:
		switch p.number {
		case sessionSeq:
			m.Seq = p.value
		case sessionTaken:
			m.Taken = p.value
		}
	case protowire.VarintType:
		switch p.number {
		case sessionTimeout:
			m.Timeout = duration(p.value)
		case sessionHeartbeat:
			m.Heartbeat = duration(p.value)
		case sessionMode:
			m.Mode = pb.SessionMode(p.value) //nolint:gosec // Protobuf cuts it, too.
		}
	case protowire.BytesType:
		return m.takeBytes(p)
	}
	return true
}

// takeBytes stores a decoded field of the type bytes.
func (m *SessionMessage) takeBytes(p *part) bool {
	switch p.number {
	case sessionMessage:
		if m.given { // no encoder writes two, and their parts would have to be merged
			return false
		}
		m.given = true
		if m.Content.Reset(); !m.Content.decodeMessage(p.bytes) {
			m.Content.Reset()
			m.Encoded = append([]byte{}, p.bytes...)
		}
	case sessionPath:
		m.Path = string(p.bytes)
		return utf8.Valid(p.bytes)
	case sessionRequest:
		m.Request = append([]byte{}, p.bytes...)
	case sessionHeaders:
		return m.takeHeader(p.bytes)
	}
	return true
}

func (m *SessionMessage) takeHeader(b []byte) (ok bool) {
	var name, value string
	for len(b) > 0 {
		var p part
		if p, b, ok = split(b); !ok {
			return false
		}
		switch {
		case p.is(headerName, protowire.BytesType):
			name = string(p.bytes)
		case p.is(headerValue, protowire.BytesType):
			value = string(p.bytes)
		}
	}
	if m.Headers == nil {
		m.Headers = map[string][]string{}
	}
	m.Headers[name] = append(m.Headers[name], value)
	return utf8.ValidString(name)
}

// duration converts nanoseconds to a duration, capped at the maximum.
func duration(n uint64) time.Duration { return time.Duration(min(n, math.MaxInt64)) }
