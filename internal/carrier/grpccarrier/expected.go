package grpccarrier

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/oslorpc/oslorpc/internal/wire"
)

// expected is the reply of a unary RPC, which may come. gRPC does not say whether it came when the
// RPC fails after it: a server may send a reply and then an error, or two replies. Then the method
// ran, whatever the error says.
//
// So the message has a mark until the reply is decoded into it, which resets it first.
type expected struct {
	message protoreflect.Message
	before  protoreflect.RawFields
	// usual tells by itself whether it came; nil for a generated message.
	usual *wire.Response
}

// mark is an unknown field that no message has.
var mark = protowire.AppendVarint(protowire.AppendTag(nil, protowire.MaxValidNumber, protowire.VarintType), 0)

// expect marks the message for a reply. A message of another kind than protobuf's has no mark.
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

// came reports whether the reply came, and removes the mark. It must not be called while gRPC may
// still write the message.
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
