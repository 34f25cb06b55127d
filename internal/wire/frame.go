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

// MaxFrame is the size of the largest frame of a session, in bytes.
const MaxFrame = 64 << 10

// Frame is an encoded frame of a session, to be sent.
type Frame struct {
	message

	// Bytes are the frame. They are copied before SendMsg returns.
	Bytes []byte
}

var frameMethods = protoiface.Methods{
	Flags: protoiface.SupportMarshalDeterministic,
	Size: func(in protoiface.SizeInput) protoiface.SizeOutput {
		return protoiface.SizeOutput{Size: len(in.Message.(*Frame).Bytes)}
	},
	Marshal:          marshalFrame,
	CheckInitialized: nothingRequired,
}

// Fill makes f the frame with the given bytes.
func (f *Frame) Fill(b []byte) { f.message, f.Bytes = emptyFrame, b }

// Reset empties the frame.
func (f *Frame) Reset() { f.Fill(nil) }

// ProtoReflect returns the frame as package proto knows it.
func (f *Frame) ProtoReflect() protoreflect.Message { return f }

// Interface returns the frame.
func (f *Frame) Interface() protoreflect.ProtoMessage { return f }

// ProtoMethods returns the function that encodes the frame.
func (f *Frame) ProtoMethods() *protoiface.Methods { return &frameMethods }

var emptyFrame = (&pb.SessionRequest{}).ProtoReflect()

func marshalFrame(in protoiface.MarshalInput) (protoiface.MarshalOutput, error) {
	return protoiface.MarshalOutput{Buf: append(in.Buf, in.Message.(*Frame).Bytes...)}, nil
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
