package grpccarrier

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/oslorpc/oslorpc/internal/wire"
)

// expected is the reply of a unary RPC that may arrive. If an RPC fails after its reply, gRPC does
// not say that the reply arrived: a server may send a reply and then an error, or two replies. If
// it arrived, the method ran, whatever the error says.
//
// So the message gets a mark. Decoding a reply resets the message, which removes the mark.
type expected struct {
	message protoreflect.Message
	before  protoreflect.RawFields
	// usual notes by itself whether it arrived. It is nil for a generated message.
	usual *wire.Response
}

// mark is an unknown field that no real message has.
var mark = protowire.AppendVarint(protowire.AppendTag(nil, protowire.MaxValidNumber, protowire.VarintType), 0)

// expect marks the message for a reply. Messages that are not protobuf get no mark.
func expect(reply any) expected {
	if usual, ok := reply.(*wire.Response); ok {
		return expected{usual: usual}
	}
	message, ok := reply.(proto.Message)
	if !ok {
		return expected{}
	}
	e := expected{message: message.ProtoReflect()}
	if !e.message.IsValid() {
		return expected{}
	}
	e.before = e.message.GetUnknown()
	e.message.SetUnknown(mark)
	return e
}

// came reports whether the reply arrived, and removes the mark. It must not be called while gRPC
// may still write the message.
func (e expected) came() bool {
	if e.usual != nil {
		return e.usual.Came
	}
	if e.message == nil {
		return false
	}
	marked := bytes.Equal(e.message.GetUnknown(), mark)
	if marked {
		e.message.SetUnknown(e.before)
	}
	return !marked
}
