package typed

import (
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
)

// fillRandomly sets fields at random.
func fillRandomly(t testing.TB, r *rand.Rand, m protoreflect.Message, depth int) {
	if m.Descriptor().FullName() == anyName {
		inner := []proto.Message{&v1.Disk{}, &v1.Placement{}, &v1.Group{}, &v1.Label{}, &v1.CreateVolumeRequest{}, &anypb.Any{}}[r.IntN(6)]
		fillRandomly(t, r, inner.ProtoReflect(), depth-1)
		a := packed(t, inner)
		fields := m.Descriptor().Fields()
		m.Set(fields.ByNumber(anyType), protoreflect.ValueOfString(a.GetTypeUrl()))
		m.Set(fields.ByNumber(anyValue), protoreflect.ValueOfBytes(a.GetValue()))
		return
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if r.IntN(4) > 0 || (depth <= 0 && f.Message() != nil) {
			continue
		}
		switch {
		case f.IsList():
			l := m.Mutable(f).List()
			for range r.IntN(3) {
				if f.Message() != nil {
					fillRandomly(t, r, l.AppendMutable().Message(), depth-1)
				} else {
					l.Append(scalar(r, f))
				}
			}
		case f.IsMap():
			all := m.Mutable(f).Map()
			for range r.IntN(3) {
				key := scalar(r, f.MapKey()).MapKey()
				if f.MapValue().Message() != nil {
					fillRandomly(t, r, all.Mutable(key).Message(), depth-1)
				} else {
					all.Set(key, scalar(r, f.MapValue()))
				}
			}
		case f.Message() != nil:
			fillRandomly(t, r, m.Mutable(f).Message(), depth-1)
		default:
			m.Set(f, scalar(r, f))
		}
	}
}

// scalar returns a random value, which is sometimes zero.
func scalar(r *rand.Rand, f protoreflect.FieldDescriptor) protoreflect.Value {
	n := r.IntN(5)
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString("abcd"[:n%4])
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte("abcd")[:n%4])
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(n > 0)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(n))
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(n))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(int64(n))
	default:
		panic(f.Kind())
	}
}

func TestRandomMessages(t *testing.T) {
	m := method(t, "CreateVolume")
	other := anotherInstance(t, m.input)
	moved := 0
	for seed := range uint64(1000) {
		in := new(v1.CreateVolumeRequest)
		fillRandomly(t, rand.New(rand.NewPCG(seed, 0)), in.ProtoReflect(), 4)
		checkSteps(t, m, in)
		checkPresence(t, m.plan, in)
		if n := m.Need(in); n.Floor != n.Version {
			moved++
		}
		for _, d := range []protoreflect.MessageDescriptor{m.input, other} {
			checkDynamic(t, m, in, dynamicpb.NewMessage(d), seed%50 == 0)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if moved < 100 {
		t.Errorf("only %d messages had anything to drop", moved)
	}
}

// checkPresence compares the presence of fields in structs and by reflection.
func checkPresence(t *testing.T, p *plan, in proto.Message) {
	t.Helper()
	v, r := viewOf(p, in), in.ProtoReflect()
	if !v.fields.IsValid() {
		t.Error("the struct is not used")
	}
	for i := range p.fields {
		if f := &p.fields[i]; v.has(f) != r.Has(f.descriptor) || (f.place.how == asked) {
			t.Errorf("%s: has %v", f.descriptor.Name(), v.has(f))
		}
	}
}

// checkDynamic checks that a dynamic message with the same contents needs the same version.
func checkDynamic(t *testing.T, m *Method, in proto.Message, dynamic proto.Message, all bool) {
	t.Helper()
	if dynamic.ProtoReflect().Descriptor() != m.input && !all {
		return // each is compiled anew
	}
	encoded, err := proto.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(encoded, dynamic); err != nil {
		t.Fatal(err)
	}
	if got, want := m.Need(dynamic), m.Need(in); got != want {
		t.Errorf("dynamic needs %v, generated %v", got, want)
	}
	checkSteps(t, m, dynamic)
}

// anotherInstance returns a descriptor that is equal to this one but not identical.
func anotherInstance(t *testing.T, d protoreflect.MessageDescriptor) protoreflect.MessageDescriptor {
	t.Helper()
	file, err := protodesc.NewFile(protodesc.ToFileDescriptorProto(d.ParentFile()), protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return file.Messages().ByName(d.Name())
}

// TestMixedInstances has a generated message within a dynamic one of another descriptor instance,
// and the reverse.
func TestMixedInstances(t *testing.T) {
	m := method(t, "CreateVolume")
	other := anotherInstance(t, m.input)
	for _, d := range []protoreflect.MessageDescriptor{m.input, other} {
		for _, inner := range []protoreflect.Message{
			(&v1.Placement{Rack: "a"}).ProtoReflect(),
			dynamicPlacement(m.input),
			dynamicPlacement(other),
		} {
			in := dynamicpb.NewMessage(d)
			if !set(in, d.Fields().ByName("placement"), inner) {
				continue // protobuf itself does not allow it
			}
			if e, ok := m.Blame(in, m.Since); !ok || e.Path != "placement.rack" {
				t.Errorf("blames %v", e)
			}
			if n := m.Need(in); n.Floor != m.Service.Version || len(m.Steps(in)) != 1 || m.Fit(in, m.Since) != proto.Message(in) {
				t.Errorf("needs %v", n)
			}
		}
	}
}

func set(m protoreflect.Message, f protoreflect.FieldDescriptor, inner protoreflect.Message) (ok bool) {
	defer func() { ok = recover() == nil }()
	m.Set(f, protoreflect.ValueOfMessage(inner))
	return true
}

func dynamicPlacement(within protoreflect.MessageDescriptor) protoreflect.Message {
	d := within.Fields().ByName("placement").Message()
	p := dynamicpb.NewMessage(d)
	p.Set(d.Fields().ByName("rack"), protoreflect.ValueOfString("a"))
	return p
}

func TestOtherMessages(t *testing.T) {
	m := method(t, "ResizeVolume")
	for _, in := range []proto.Message{
		nil, (*v1.ResizeVolumeRequest)(nil), &v1.CreateVolumeRequest{Description: "a"}, &v1.ResizeVolumeRequest{Shrink: true},
	} {
		if n := m.Need(in); n != (Need{m.Since, m.Since}) || len(m.Steps(in)) != 1 || m.Fit(in, m.Since) != in {
			t.Errorf("%v needs %v", in, n)
		}
		if e, ok := m.Blame(in, method(t, "GetVolume").Since); !ok || e != (Element{Since: m.Since}) {
			t.Errorf("%v: blames %v", in, e)
		}
	}
}

func TestNilElements(t *testing.T) {
	m := method(t, "CreateVolume")
	in := &v1.CreateVolumeRequest{Disks: []*v1.Disk{nil, {Serial: "a"}}}
	m.Blame(in, m.Since)
	if n := m.Need(in); n.Version != m.Service.Version || n.Floor != m.Since {
		t.Errorf("needs %v", n)
	}
}

func TestDeep(t *testing.T) {
	m, in := method(t, "CreateVolume"), &v1.Group{Owner: "a"}
	for range 9000 {
		in = &v1.Group{Children: []*v1.Group{in}, Note: "b"}
	}
	checkSteps(t, m, &v1.CreateVolumeRequest{Group: in})
}

// TestFit checks which fields remain.
func TestFit(t *testing.T) {
	m, in := method(t, "CreateVolume"), full(t)
	in.Placement = nil
	got := m.Fit(in, m.Need(in).Floor)
	want := usual()
	want.Placement = nil
	want.Description = "b"
	want.Disks = []*v1.Disk{{}, {}}
	want.Roles = map[string]*v1.Disk{"a": {}}
	want.Labels = map[string]string{"a": "b"}
	want.FallbackModes = []v1.Mode{v1.Mode_MODE_FAST}
	want.Driver = packed(t, &v1.Disk{})
	want.Group = &v1.Group{Children: []*v1.Group{{Note: "a"}}}
	if !proto.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
