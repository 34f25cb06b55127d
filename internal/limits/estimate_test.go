package limits

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// heap returns how many bytes build has allocated that are still in use.
func heap(build func() any) int {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	kept := build()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(kept)
	return int(after.HeapAlloc) - int(before.HeapAlloc)
}

// The estimate for a JSON text is not far below the memory that decoding takes, whatever the text
// consists of.
func TestJSONIsEstimated(t *testing.T) {
	for _, element := range []string{"{}", "[]", "1", "0.5", `""`, `"abcdefgh"`, "null", `{"a":1}`, `{"a":{},"b":[1,2]}`, "[[[[]]]]", `"` + strings.Repeat("x", 1000) + `"`} {
		text := "[" + strings.Repeat(element+",", 2<<20/len(element)) + "1]"
		took := heap(func() (v any) {
			if err := json.Unmarshal([]byte(text), &v); err != nil {
				t.Fatal(err)
			}
			return v
		})
		if n := JSON(text); n < took*2/3 || n > 16*took+2*len(text) {
			t.Errorf("%.20s: estimated %d KiB, took %d", element, n>>10, took>>10)
		}
	}
}

// Only the length of strings counts, and not their contents.
func TestStringsAreNotScanned(t *testing.T) {
	text := `{"a":"` + strings.Repeat(`{[,:\\\"`, 10<<10) + `"}`
	if n := JSON(text); n > len(text)+1000 {
		t.Errorf("%d bytes of text are estimated at %d", len(text), n)
	}
	if IsDeep(text, 5) {
		t.Error("brackets within a string count as nesting")
	}
}

func TestSmallMessagesAreNotEstimated(t *testing.T) {
	if JSON(strings.Repeat("[", SmallMessage)) != 0 || Protobuf((&structpb.Value{}).ProtoReflect().Descriptor(), make([]byte, SmallMessage), 1) != 0 {
		t.Error("a small message is estimated")
	}
}

func TestDepth(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, test := range []struct {
		text string
		deep bool
	}{{nested(10), false}, {nested(11), true}, {"[" + strings.Repeat("{},", 50) + "1]", false}, {strings.Repeat(`{"a":`, 11) + "1" + strings.Repeat("}", 11), true}} {
		if got := IsDeep(test.text, 10); got != test.deep {
			t.Errorf("%s: %v", test.text, got)
		}
	}
}

// The same is true for protobuf.
func TestProtobufIsEstimated(t *testing.T) {
	d := (&structpb.ListValue{}).ProtoReflect().Descriptor()
	for name, value := range map[string]*structpb.Value{
		"empty": {}, "null": structpb.NewNullValue(), "number": structpb.NewNumberValue(1), "text": structpb.NewStringValue(strings.Repeat("x", 100)),
		"list": structpb.NewListValue(&structpb.ListValue{}), "object": structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{"a": {}}}),
	} {
		one, err := proto.Marshal(&structpb.ListValue{Values: []*structpb.Value{value}})
		if err != nil {
			t.Fatal(err)
		}
		b := bytes.Repeat(one, 1<<20/len(one))
		took := heap(func() any {
			m := &structpb.ListValue{}
			if err := proto.Unmarshal(b, m); err != nil {
				t.Fatal(err)
			}
			return m
		})
		if n := Protobuf(d, b, 1<<30); n < took*2/3 || n > 4*took {
			t.Errorf("%s: estimated %d KiB, took %d", name, n>>10, took>>10)
		}
		if n := Protobuf(d, b, 2<<20); n < 1<<20 || n > 3<<20 {
			t.Errorf("%s: the estimate stopped at %d", name, n)
		}
	}
}

func TestDepthOfProtobuf(t *testing.T) {
	d := (&structpb.Value{}).ProtoReflect().Descriptor()
	var b []byte
	for range 100 { // a list in a list
		b = protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), b)
		b = protowire.AppendBytes(protowire.AppendTag(nil, 6, protowire.BytesType), b)
	}
	if IsDeepProtobuf(d, b, 200) || !IsDeepProtobuf(d, b, 199) {
		t.Error("the depth is not counted")
	}
}

func FuzzEstimates(f *testing.F) {
	f.Add([]byte(`{"a":["\\"]}`))
	f.Fuzz(func(_ *testing.T, b []byte) {
		large := bytes.Repeat(b, SmallMessage/max(1, len(b))+1)
		JSON(string(large))
		IsDeep(string(large), 3)
		d := (&structpb.Value{}).ProtoReflect().Descriptor()
		Protobuf(d, large, 1<<20)
		IsDeepProtobuf(d, large, 10)
	})
}
