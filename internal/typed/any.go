package typed

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// maxAnys is the maximum nesting of google.protobuf.Any. Each level decodes the rest again, so
// deeper ones are ignored.
const maxAnys = 32

// These are the fields of google.protobuf.Any.
const (
	anyType  = 1
	anyValue = 2
)

// any returns what the message in a google.protobuf.Any needs, in the way of walk.message.
func (w *walk) any(m protoreflect.Message) (version, floor rpc.Version) {
	within := *w
	if within.anys++; within.anys > maxAnys {
		return version, floor
	}
	p, inner := unpack(m)
	if p == nil {
		return version, floor
	}
	return within.message(p, inner.Interface())
}

// unpack returns the message in a google.protobuf.Any and its plan. It returns nil if the type is
// unknown, the message cannot be decoded, or it has no rules.
func unpack(m protoreflect.Message) (*plan, protoreflect.Message) {
	fields := m.Descriptor().Fields()
	url, value := fields.ByNumber(anyType), fields.ByNumber(anyValue)
	if url == nil || value == nil || url.Kind() != protoreflect.StringKind || value.Kind() != protoreflect.BytesKind {
		return nil, nil
	}
	known, err := protoregistry.GlobalTypes.FindMessageByURL(m.Get(url).String())
	if err != nil {
		return nil, nil
	}
	p := planOf(known.Descriptor())
	if p == nil {
		return nil, nil
	}
	inner := known.New()
	if err := (proto.UnmarshalOptions{AllowPartial: true}).Unmarshal(m.Get(value).Bytes(), inner.Interface()); err != nil {
		return nil, nil
	}
	return p, inner
}

// repack puts a message back into the google.protobuf.Any that it was unpacked from.
func repack(m, inner protoreflect.Message) {
	encoded, err := proto.MarshalOptions{AllowPartial: true, Deterministic: true}.Marshal(inner.Interface())
	if err != nil {
		return // what was decoded can be encoded
	}
	m.Set(m.Descriptor().Fields().ByNumber(anyValue), protoreflect.ValueOfBytes(encoded))
}
