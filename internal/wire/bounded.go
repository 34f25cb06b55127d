package wire

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/runtime/protoiface"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// Admitter decides whether a message may be decoded. It may block.
type Admitter interface {
	// Admit returns an error if an encoded message must not be decoded.
	Admit(d protoreflect.MessageDescriptor, encoded []byte) error
}

// Bounded is a message that is decoded only if its Admitter admits it.
type Bounded struct {
	message

	// Inner is the message to decode.
	Inner proto.Message
	// Admitter is asked before Inner is decoded.
	Admitter Admitter
	// Err is the error of the Admitter.
	Err error
}

var (
	emptyMulticall = (&pb.MulticallRequest{}).ProtoReflect()
	boundedMethods = protoiface.Methods{Unmarshal: unmarshalBounded}
)

// Reset empties the message.
func (b *Bounded) Reset() {
	*b = Bounded{message: emptyMulticall, Inner: b.Inner, Admitter: b.Admitter}
}

// ProtoReflect returns the message in the form that package proto uses.
func (b *Bounded) ProtoReflect() protoreflect.Message { return b }

// Interface returns the message.
func (b *Bounded) Interface() protoreflect.ProtoMessage { return b }

// ProtoMethods returns the function that decodes the message.
func (b *Bounded) ProtoMethods() *protoiface.Methods { return &boundedMethods }

func unmarshalBounded(in protoiface.UnmarshalInput) (protoiface.UnmarshalOutput, error) {
	b := in.Message.(*Bounded)
	if b.Err = b.Admitter.Admit(b.Inner.ProtoReflect().Descriptor(), in.Buf); b.Err != nil {
		return protoiface.UnmarshalOutput{}, b.Err
	}
	if err := proto.Unmarshal(in.Buf, b.Inner); err != nil {
		return protoiface.UnmarshalOutput{}, err
	}
	return protoiface.UnmarshalOutput{Flags: protoiface.UnmarshalInitialized}, nil
}
