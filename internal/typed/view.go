package typed

import (
	"reflect"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// view reads a message. Protobuf reflection takes tens of nanoseconds to report whether a field is
// set, so exported fields of generated structs are read directly. All other messages, such as
// dynamic ones, are read by reflection.
type view struct {
	message proto.Message
	// fields is the struct. It is invalid if the message is not of the plan's Go type.
	fields reflect.Value
}

func viewOf(p *plan, message proto.Message) view {
	v := view{message: message}
	if pointer := reflect.ValueOf(message); p.goType != nil && pointer.Type() == p.goType {
		v.fields = pointer.Elem()
	}
	return v
}

// is reports whether the message is of the plan's type.
func (v *view) is(p *plan) bool {
	return v.fields.IsValid() || v.message.ProtoReflect().Descriptor() == p.descriptor
}

// has reports whether a field is set.
func (v *view) has(f *field) bool {
	if f.place.how == asked || !v.fields.IsValid() {
		return v.message.ProtoReflect().Has(f.descriptor)
	}
	value := v.fields.Field(f.place.index)
	switch f.place.how {
	case byLength:
		return value.Len() > 0
	case inOneof:
		return !value.IsNil() && v.message.ProtoReflect().Has(f.descriptor)
	default:
		return !value.IsZero()
	}
}

// get returns the value of a field.
func (v *view) get(f *field) protoreflect.Value { return v.message.ProtoReflect().Get(f.descriptor) }

// nested returns the message in a singular field that is set.
func (v *view) nested(f *field) proto.Message {
	if f.place.how == byZero && v.fields.IsValid() {
		if m, ok := reflect.TypeAssert[proto.Message](v.fields.Field(f.place.index)); ok {
			return m
		}
	}
	return v.get(f).Message().Interface()
}

// number returns the enum value in a singular field that is set.
func (v *view) number(f *field) protoreflect.EnumNumber {
	if f.place.how == byZero && v.fields.IsValid() {
		if value := v.fields.Field(f.place.index); value.Kind() == reflect.Int32 {
			return protoreflect.EnumNumber(value.Int()) //nolint:gosec // it is an int32
		}
	}
	return v.get(f).Enum()
}

// how is the way to check whether a field is set.
type how uint8

const (
	asked    how = iota // it has no place in the struct
	byZero              // it is set if it is not zero
	byLength            // it is set if it is not empty
	inOneof             // it is in an interface that is nil if no field of the oneof is set
)

// place is the place of a field in a generated struct.
type place struct {
	index int
	how   how
}

// locate finds the Go type of a plan, if it is linked in, and the places of its fields. It uses the
// tags of generated structs, as protobuf reflection does.
func (p *plan) locate() {
	known, err := protoregistry.GlobalTypes.FindMessageByName(p.descriptor.FullName())
	if err != nil || known.Descriptor() != p.descriptor {
		return
	}
	pointer := reflect.TypeOf(known.Zero().Interface())
	if pointer.Kind() != reflect.Pointer || pointer.Elem().Kind() != reflect.Struct {
		return
	}
	p.goType = pointer
	members, oneofs := placesIn(pointer.Elem())
	for i := range p.fields {
		p.fields[i].locate(members, oneofs)
	}
}

// placesIn returns the indices of a struct's exported members, by the number of their field or the
// name of their oneof.
func placesIn(s reflect.Type) (members map[protoreflect.FieldNumber]int, oneofs map[protoreflect.Name]int) {
	members, oneofs = make(map[protoreflect.FieldNumber]int), make(map[protoreflect.Name]int)
	for i := range s.NumField() {
		member := s.Field(i)
		if !member.IsExported() {
			continue // as all are in opaque structs, where a zero value may be set
		}
		if name := member.Tag.Get("protobuf_oneof"); name != "" {
			oneofs[protoreflect.Name(name)] = i
		}
		for part := range strings.SplitSeq(member.Tag.Get("protobuf"), ",") {
			if number, err := strconv.ParseInt(part, 10, 32); err == nil {
				members[protoreflect.FieldNumber(number)] = i
				break
			}
		}
	}
	return members, oneofs
}

func (f *field) locate(members map[protoreflect.FieldNumber]int, oneofs map[protoreflect.Name]int) {
	d := f.descriptor
	if o := d.ContainingOneof(); o != nil && !o.IsSynthetic() {
		if i, ok := oneofs[o.Name()]; ok {
			f.place = place{i, inOneof}
		}
		return
	}
	i, ok := members[d.Number()]
	switch {
	case !ok:
	case d.IsList(), d.IsMap(), d.Kind() == protoreflect.BytesKind && !d.HasPresence():
		f.place = place{i, byLength}
	default:
		f.place = place{i, byZero}
	}
}
