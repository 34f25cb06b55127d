package wire

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/runtime/protoiface"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// Outcome is the kind of a session's result.
type Outcome uint8

const (
	// Unknown is an outcome of a newer protocol that this program does not know.
	Unknown Outcome = iota
	// Returned means that a call succeeded. Text is the result as JSON, unless Full is set.
	Returned
	// Accepted means that a cast was accepted.
	Accepted
	// Replied means that a typed message has a reply, which is in Bytes.
	Replied
	// Failed means that the message failed. Bytes are a status.
	Failed
)

// SessionResult is the result of a message of a session.
type SessionResult struct {
	Seq     uint64
	Outcome Outcome
	Text    string
	Bytes   []byte
	// Full is a response whose result is not JSON text, from or for a peer in another language.
	Full *pb.CallResponse
}

const (
	frameResult protowire.Number = 2

	resultSeq      protowire.Number = 1
	resultResponse protowire.Number = 2
	resultAccepted protowire.Number = 3
	resultReply    protowire.Number = 4
	resultStatus   protowire.Number = 5
)

// size returns the size of the result without its frame. Reply is the size of a typed reply, which
// replaces Bytes.
func (r *SessionResult) size(reply int) int {
	switch r.Outcome {
	case Returned:
		if r.Full != nil {
			return fixedSize + fieldSize(proto.Size(r.Full))
		}
		return fixedSize + fieldSize(fieldSize(payloadSize(r.Text)))
	case Accepted:
		return fixedSize + fieldSize(0)
	case Replied:
		return fixedSize + fieldSize(reply)
	default:
		return fixedSize + fieldSize(len(r.Bytes))
	}
}

// Append appends the frame to a buffer, even if it exceeds MaxFrame. Reply is a typed reply, which
// replaces Bytes; nil for none. It must be encodable. Content is the offset of the result within
// the frame; parts of a large result carry the bytes from there on.
func (r *SessionResult) Append(b []byte, reply proto.Message) (frame []byte, content int) {
	typed := 0
	if r.Outcome == Replied {
		typed = proto.Size(reply)
	}
	before := len(b)
	b = appendHead(b, frameResult, r.size(typed))
	content = len(b) - before
	b = protowire.AppendFixed64(protowire.AppendTag(b, resultSeq, protowire.Fixed64Type), r.Seq)
	switch r.Outcome {
	case Returned:
		if r.Full != nil {
			b = appendHead(b, resultResponse, proto.Size(r.Full))
			b, _ = proto.MarshalOptions{}.MarshalAppend(b, r.Full)
			return b, content
		}
		n := payloadSize(r.Text)
		return appendPayload(appendHead(b, resultResponse, fieldSize(n)), responseResult, n, r.Text), content
	case Accepted:
		return appendHead(b, resultAccepted, 0), content
	case Replied:
		b = appendHead(b, resultReply, typed)
		b, _ = proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(b, reply) // the caller says that it can be encoded
		return b, content
	default:
		return append(appendHead(b, resultStatus, len(r.Bytes)), r.Bytes...), content
	}
}

// SessionResponse is a received frame of a server.
type SessionResponse struct {
	message

	// Result is the decoded frame, unless Other is set.
	Result SessionResult
	// Other is the decoded frame if it has no result.
	Other *pb.SessionResponse
}

var (
	emptySessionResponse   = (&pb.SessionResponse{}).ProtoReflect()
	sessionResponseMethods = protoiface.Methods{Unmarshal: unmarshalSessionResponse, CheckInitialized: nothingRequired}
)

// Reset empties the frame.
func (r *SessionResponse) Reset() { *r = SessionResponse{message: emptySessionResponse} }

// ProtoReflect returns the frame in the form that package proto uses.
func (r *SessionResponse) ProtoReflect() protoreflect.Message { return r }

// Interface returns the frame.
func (r *SessionResponse) Interface() protoreflect.ProtoMessage { return r }

// ProtoMethods returns the function that decodes the frame.
func (r *SessionResponse) ProtoMethods() *protoiface.Methods { return &sessionResponseMethods }

func unmarshalSessionResponse(in protoiface.UnmarshalInput) (protoiface.UnmarshalOutput, error) {
	return protoiface.UnmarshalOutput{Flags: protoiface.UnmarshalInitialized}, in.Message.(*SessionResponse).decodeFrame(in.Buf)
}

// decodeFrame implements [Decoder].
func (r *SessionResponse) decodeFrame(b []byte) error {
	if err := tooLong(b); err != nil {
		return err
	}
	if content, ok := only(b, frameResult); ok {
		if !r.Result.Decode(content) {
			return errMalformed
		}
		return nil
	}
	r.Other = &pb.SessionResponse{}
	if err := unmarshal(b, r.Other); err != nil || r.Other.GetResult() != nil || r.Other.GetMore() != nil {
		return errMalformed
	}
	return nil
}

// Decode decodes a result and copies its bytes. It returns false if the result is malformed.
func (r *SessionResult) Decode(b []byte) (ok bool) {
	for len(b) > 0 {
		var p part
		if p, b, ok = split(b); !ok {
			return false
		}
		if p.is(resultSeq, protowire.Fixed64Type) {
			r.Seq = p.value
		} else if p.kind == protowire.BytesType && !r.take(&p) {
			return false
		}
	}
	return r.Seq != 0
}

// take stores an outcome. If there are several, the last one counts.
func (r *SessionResult) take(p *part) bool {
	switch p.number {
	case resultResponse:
		r.Outcome = Returned
		return r.takeResponse(p.bytes)
	case resultAccepted:
		r.Outcome = Accepted
	case resultReply:
		r.Outcome, r.Bytes = Replied, append([]byte{}, p.bytes...)
	case resultStatus:
		r.Outcome, r.Bytes = Failed, append([]byte{}, p.bytes...)
	}
	return true
}

func (r *SessionResult) takeResponse(b []byte) bool {
	r.Text, r.Full = "", nil
	payload, ok := only(b, responseResult)
	if ok {
		if text, usual := only(payload, payloadJSON); usual && len(text) > 0 && utf8.Valid(text) {
			r.Text = string(text)
			return true
		}
	}
	r.Full = &pb.CallResponse{}
	return proto.Unmarshal(b, r.Full) == nil
}
