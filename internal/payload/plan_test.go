package payload

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

type ownText struct{ A int }

func (ownText) MarshalText() ([]byte, error) { return []byte("x"), nil }

type ownRead struct{ A int }

func (*ownRead) UnmarshalJSON([]byte) error { return nil }

type hiddenExtra = Extra

func TestStructsThatCannotHoldArguments(t *testing.T) {
	t.Parallel()
	type inner struct {
		First string `json:"first"`
	}
	type hidden struct{ A int }
	type list []int
	type renamed struct{ hiddenExtra }
	for _, test := range []struct {
		name string
		dst  any
		want []string
	}{
		{"the same name twice", newStruct(
			reflect.StructField{Name: "A", Type: reflect.TypeFor[int](), Tag: `json:"x"`},
			reflect.StructField{Name: "B", Type: reflect.TypeFor[int](), Tag: `json:"x"`},
		), []string{`two fields for the argument "x"`}},
		{"a name of an embedded struct again", new(struct {
			First string `json:"first"`
			inner
		}), []string{`two fields for the argument "first"`}},
		{"an untagged field and a tagged one", new(struct {
			A int
			B int `json:"A"`
		}), []string{`two fields for the argument "A"`}},
		{"an embedded pointer", new(struct{ *named }), []string{"embeds named", "and not a pointer"}},
		{"an embedded pointer to Extra", new(struct{ *Extra }), []string{"embeds Extra", "and not a pointer"}},
		{"an embedded list", new(struct{ list }), []string{"embeds list", "JSON name"}},
		{"Extra twice", new(struct {
			Extra
			catching
		}), []string{"Extra twice"}},
		{"Extra by a name that is not exported", new(renamed), []string{"embeds hiddenExtra"}},
		{"methods of its own", new(ownText), []string{"payload.ownText", "its own JSON or text methods"}},
		{"a method for reading", new(ownRead), []string{"its own JSON or text methods"}},
		{"a time", new(time.Time), []string{"its own JSON or text methods"}},
		{"methods that it gets by embedding", new(struct {
			time.Time
			A int
		}), []string{"or a type that it embeds", "its own JSON or text methods"}},
		{"an embedded Opt", new(struct{ Opt[string] }), []string{"its own JSON or text methods"}},
		{"a JSON name on a hidden field", newStruct(
			reflect.StructField{Name: "a", PkgPath: "example.org/p", Type: reflect.TypeFor[int](), Tag: `json:"a"`},
		), []string{"field a", "not exported"}},
		{"a JSON name on a hidden embedded struct", new(struct {
			hidden `json:"a"`
		}), []string{"field hidden", "not exported"}},
		{"omitempty", new(struct {
			A string `json:"a,omitempty"`
		}), []string{"field A", `"omitempty"`, "Opt"}},
		{"omitzero on a field that is required", new(struct {
			A string `json:"a,omitzero"`
		}), []string{"field A", `"omitzero"`, "Opt"}},
		{"omitempty on an Opt", newStruct(
			reflect.StructField{Name: "A", Type: reflect.TypeFor[Opt[string]](), Tag: `json:"a,omitempty"`},
		), []string{"field A", `"omitempty"`}},
		{"string", new(struct {
			A int `json:"a,string"`
		}), []string{"field A", `"string"`}},
		{"several options", newStruct(
			reflect.StructField{Name: "A", Type: reflect.TypeFor[Opt[int]](), Tag: `json:"a,omitzero,string"`},
		), []string{"field A", `"omitzero,string"`}},
		{"an option on an embedded struct", newStruct(
			reflect.StructField{Name: "Named", Anonymous: true, Type: reflect.TypeFor[named](), Tag: `json:",omitempty"`},
		), []string{"field Named", `"omitempty"`}},
		{"an empty option", newStruct(
			reflect.StructField{Name: "A", Type: reflect.TypeFor[int](), Tag: `json:"-,"`},
		), []string{"field A"}},
		{"a quoted name", new(struct {
			A int `json:"'a'"`
		}), []string{"field A", "'a'"}},
		{"a name that is not UTF-8", newStruct(
			reflect.StructField{Name: "A", Type: reflect.TypeFor[int](), Tag: `json:"\xff"`},
		), []string{"field A", "UTF-8"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			typ := reflect.TypeOf(test.dst).Elem()
			want := append([]string{typ.String() + " cannot hold arguments: "}, test.want...)
			_, _, err := Describe(typ)
			check(t, err, rpc.Invalid, "", want...)
			_, err = MarshalArgs(test.dst)
			check(t, err, rpc.Invalid, "", want...)
			check(t, UnmarshalArgs(`{}`, test.dst), rpc.Invalid, "", want...)
		})
	}
}

// newStruct returns a pointer to a struct with fields that go vet would not accept in source code.
func newStruct(fields ...reflect.StructField) any {
	return reflect.New(reflect.StructOf(fields)).Interface()
}

func TestErrorsOfAPlanAreNotShared(t *testing.T) {
	t.Parallel()
	type bad struct{ *named }
	_, err := MarshalArgs(bad{})
	first, _ := errors.AsType[*rpc.Error](err)
	first.Method = "changed by the caller"
	_, err = MarshalArgs(bad{})
	if second, _ := errors.AsType[*rpc.Error](err); second.Method != "" {
		t.Errorf("one caller sees what another did to its error: %q", second.Method)
	}
}

func TestPlansAreMadeOnce(t *testing.T) {
	t.Parallel()
	first := must[*plan](t)(planOf(reflect.TypeFor[named]()))
	if second := must[*plan](t)(planOf(reflect.TypeFor[named]())); first != second {
		t.Error("the plan of a type was made again")
	}
}

func TestPlansAreMadeConcurrently(t *testing.T) {
	t.Parallel()
	type bad struct{ *named }
	type fresh struct { // no other test knows it
		embedding
		Extra
		Tags Opt[map[string]int] `json:"tags"`
	}
	const text = `{"Untagged":5,"host":"h","last":true,"more":1,"tags":{"a":1}}`
	var all sync.WaitGroup
	start := make(chan struct{})
	failures := make(chan error, 64)
	for range cap(failures) {
		all.Go(func() {
			<-start
			var args fresh
			if err := UnmarshalArgs(text, &args); err != nil {
				failures <- err
				return
			}
			back, err := MarshalArgs(args)
			if want := `{"host":"h","Untagged":5,"last":true,"tags":{"a":1},"more":1}`; err != nil || back != want {
				failures <- fmt.Errorf("got %s, %w", back, err)
			}
			_, err = MarshalArgs(bad{})
			mine, _ := errors.AsType[*rpc.Error](err)
			mine.Method = "mine"
		})
	}
	close(start)
	all.Wait()
	close(failures)
	for err := range failures {
		t.Error(err)
	}
}
