package wire

import (
	"errors"
	"fmt"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/runtime/protoiface"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

const (
	// MaxFrame is the maximum size, in bytes, of a frame of a session, and of a message with
	// several frames.
	MaxFrame = 64 << 10
	// maxFrames is the maximum number of frames in one message.
	maxFrames = 256
)

// frameMore is the number of the field with further frames, in requests and in responses.
const frameMore protowire.Number = 15

// batch is a message of a session's stream with encoded frames to send. The first frame is the
// message itself, and the others are in the field `more`. SendMsg copies the frames before it
// returns.
type batch struct {
	message

	frames [][]byte
	size   int
}

var batchMethods = protoiface.Methods{
	Flags: protoiface.SupportMarshalDeterministic,
	Size: func(in protoiface.SizeInput) protoiface.SizeOutput {
		return protoiface.SizeOutput{Size: in.Message.(*batch).size}
	},
	Marshal:          marshalBatch,
	CheckInitialized: nothingRequired,
}

// add adds a frame.
func (f *batch) add(frame []byte) {
	f.size = f.sizeWith(frame)
	f.frames = append(f.frames, frame)
}

// sizeWith is the size of the message with one more frame.
func (f *batch) sizeWith(frame []byte) int {
	if len(f.frames) == 0 {
		return len(frame)
	}
	return f.size + fieldSize(len(frame))
}

// Reset empties the message.
func (f *batch) Reset() {
	clear(f.frames)
	f.message, f.frames, f.size = emptyFrame, f.frames[:0], 0
}

// ProtoReflect returns the message in the form that package proto uses.
func (f *batch) ProtoReflect() protoreflect.Message { return f }

// Interface returns the message.
func (f *batch) Interface() protoreflect.ProtoMessage { return f }

// ProtoMethods returns the function that encodes the message.
func (f *batch) ProtoMethods() *protoiface.Methods { return &batchMethods }

var emptyFrame = (&pb.SessionRequest{}).ProtoReflect()

func marshalBatch(in protoiface.MarshalInput) (protoiface.MarshalOutput, error) {
	b := in.Buf
	for i, frame := range in.Message.(*batch).frames {
		if i > 0 {
			b = appendHead(b, frameMore, len(frame))
		}
		b = append(b, frame...)
	}
	return protoiface.MarshalOutput{Buf: b}, nil
}

// Frames is a received message of a session's stream. It decodes the frames one after the other,
// each into the Decoder that Next returns.
type Frames struct {
	message

	Next func() Decoder
}

// Decoder decodes one frame. It is a [SessionRequest] or a [SessionResponse].
type Decoder interface {
	decodeFrame(b []byte) error
}

var framesMethods = protoiface.Methods{Unmarshal: unmarshalFrames, CheckInitialized: nothingRequired}

// Reset prepares the message for decoding. It keeps the frames that were decoded before.
func (f *Frames) Reset() { f.message = emptyFrame }

// ProtoReflect returns the message in the form that package proto uses.
func (f *Frames) ProtoReflect() protoreflect.Message { return f }

// Interface returns the message.
func (f *Frames) Interface() protoreflect.ProtoMessage { return f }

// ProtoMethods returns the function that decodes the message.
func (f *Frames) ProtoMethods() *protoiface.Methods { return &framesMethods }

func unmarshalFrames(in protoiface.UnmarshalInput) (protoiface.UnmarshalOutput, error) {
	err := tooLong(in.Buf)
	if err == nil {
		err = in.Message.(*Frames).decode(in.Buf)
	}
	return protoiface.UnmarshalOutput{Flags: protoiface.UnmarshalInitialized}, err
}

// decode decodes the frames. It ignores unknown fields.
func (f *Frames) decode(b []byte) error {
	var first []byte
	n := 0
	for rest := b; len(rest) > 0; {
		p, after, ok := split(rest)
		switch {
		case !ok:
			return errMalformed
		case p.is(frameMore, protowire.BytesType):
			n++
		case p.kind == protowire.BytesType && p.number < frameMore:
			if first != nil {
				return errMalformed
			}
			first = rest[:len(rest)-len(after)]
			n++
		}
		rest = after
	}
	if n > maxFrames { // a decoded frame takes more memory than its bytes
		return fmt.Errorf("there are %d frames in one message, and at most %d are allowed", n, maxFrames)
	}
	if first != nil {
		if err := f.Next().decodeFrame(first); err != nil {
			return err
		}
	}
	for len(b) > 0 {
		p, rest, _ := split(b) // as before
		if p.is(frameMore, protowire.BytesType) {
			if err := f.Next().decodeFrame(p.bytes); err != nil {
				return err
			}
		}
		b = rest
	}
	return nil
}

// buffers has buffers for frames. Large ones are not reused.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

const (
	// kept is the size of the largest buffer that is reused, in bytes.
	kept = 4 << 10
)

// Buffer returns an empty buffer for frames. Return it with Recycle.
func Buffer() *[]byte { return buffers.Get().(*[]byte) }

// Recycle returns a buffer to the pool. The caller must not use it afterwards.
func Recycle(b *[]byte) {
	if cap(*b) <= kept {
		*b = (*b)[:0]
		buffers.Put(b)
	}
}

// errMalformed is the error for a frame that breaks the protocol.
var errMalformed = errors.New("the frame is malformed")

// tooLong returns an error for a frame that is too large, and nil for any other.
func tooLong(b []byte) error {
	if len(b) > MaxFrame {
		return fmt.Errorf("the frame has %d bytes, and at most %d are allowed", len(b), MaxFrame)
	}
	return nil
}

// part is one field of a frame: a number, or bytes.
type part struct {
	number protowire.Number
	value  uint64
	bytes  []byte
	kind   protowire.Type
}

// split splits off the first field of a frame. It returns false if the field is malformed.
func split(b []byte) (p part, rest []byte, ok bool) {
	number, kind, n := protowire.ConsumeTag(b)
	if n < 0 {
		return p, nil, false
	}
	p.number, p.kind, b = number, kind, b[n:]
	switch kind {
	case protowire.BytesType:
		p.bytes, n = protowire.ConsumeBytes(b)
	case protowire.VarintType:
		p.value, n = protowire.ConsumeVarint(b)
	case protowire.Fixed64Type:
		p.value, n = protowire.ConsumeFixed64(b)
	default:
		n = protowire.ConsumeFieldValue(number, kind, b)
	}
	if n < 0 {
		return p, nil, false
	}
	return p, b[n:], true
}

// is reports whether the field has the given number and wire type.
func (p *part) is(number protowire.Number, kind protowire.Type) bool {
	return p.number == number && p.kind == kind
}

// unmarshal decodes a frame with generated code.
func unmarshal(b []byte, into proto.Message) error {
	if err := proto.Unmarshal(b, into); err != nil {
		return errMalformed
	}
	return nil
}
