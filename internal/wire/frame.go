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
	// MaxFrame is the size of the largest frame of a session, in bytes, and of frames that travel
	// together.
	MaxFrame = 64 << 10
	// maxFrames is how many frames travel together at most.
	maxFrames = 256
)

// frameMore is the number of the field with further frames, of requests and of responses.
const frameMore protowire.Number = 15

// batch is a message of a session's stream with encoded frames, to be sent: the first one as
// such, and the others as `more`. The frames are copied before SendMsg returns.
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

// ProtoReflect returns the message as package proto knows it.
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

// Frames is a message of a session's stream, to be decoded. Its frames are decoded one after the
// other, each into what Next returns for it.
type Frames struct {
	message

	Next func() Decoder
}

// Decoder is a frame that is decoded: a [SessionRequest] or a [SessionResponse].
type Decoder interface {
	decodeFrame(b []byte) error
}

var framesMethods = protoiface.Methods{Unmarshal: unmarshalFrames, CheckInitialized: nothingRequired}

// Reset does nothing: frames that were decoded stay.
func (f *Frames) Reset() { f.message = emptyFrame }

// ProtoReflect returns the message as package proto knows it.
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

// decode decodes the frames. Fields that are not known yet are left out.
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
	if n > maxFrames { // each takes more memory than its bytes
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

// buffers are for frames. Large ones are not kept.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

const (
	// kept is the size of the largest buffer that is kept, in bytes.
	kept = 4 << 10
)

// Buffer returns an empty buffer for frames. Recycle may take it back.
func Buffer() *[]byte { return buffers.Get().(*[]byte) }

// Recycle takes a buffer back that nothing uses any more.
func Recycle(b *[]byte) {
	if cap(*b) <= kept {
		*b = (*b)[:0]
		buffers.Put(b)
	}
}

// errMalformed is the error for a frame that is no frame of the contract.
var errMalformed = errors.New("the frame is malformed")

// tooLong returns the error for a frame that is larger than it may be; nil if it is not.
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

// split splits off the first field of a frame. It returns false for what is malformed.
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

// is reports whether the field has the given number and type.
func (p *part) is(number protowire.Number, kind protowire.Type) bool {
	return p.number == number && p.kind == kind
}

// unmarshal decodes what needs generated code.
func unmarshal(b []byte, into proto.Message) error {
	if err := proto.Unmarshal(b, into); err != nil {
		return errMalformed
	}
	return nil
}
