package payload

import (
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// port is a struct within arguments, with members of all kinds.
type port struct {
	ID      string            `json:"id"`
	Name    Opt[string]       `json:"name,omitzero"`
	Tags    map[string]string `json:"tags,omitempty"`
	IPs     []address         `json:"ips,omitzero"`
	Parent  *port             `json:"parent,omitzero"`
	Binding Opt[binding]      `json:"binding,omitzero"`
	hidden  int               //nolint:unused // that it is left out is tested
	Ignored int               `json:"-"`
}

type address struct {
	Location
	IP string `json:"ip"`
}

type Location struct {
	Subnet string `json:"subnet"`
}

// binding keeps members for which it has no fields.
type binding struct {
	Host string `json:"host"`
	Extra
}

// custom has its own decoding.
type custom struct{ A int }

func (c *custom) UnmarshalJSON([]byte) error {
	c.A = 7
	return nil
}

type portArgs struct {
	Port    Opt[port]            `json:"port"`
	Ports   Opt[[]port]          `json:"ports"`
	ByName  Opt[map[string]port] `json:"by_name"`
	Pointer Opt[*port]           `json:"pointer"`
	Deep    Opt[[][2]*address]   `json:"deep"`
	Custom  Opt[custom]          `json:"custom"`
	Since   Opt[time.Time]       `json:"since"`
	Case    Opt[struct {
		A int `json:"a,case:ignore"`
	}] `json:"case"`
	Quoted Opt[struct {
		A string `json:"a"`
		B int    `json:"b,string"`
	}] `json:"quoted"`
}

func TestStructsWithinArguments(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{}`,
		`{"port":{"id":"a"}}`,
		`{"port":null,"ports":null,"by_name":null,"pointer":null}`,
		`{"port":{"id":"a","name":null,"tags":null,"ips":null,"parent":null,"binding":null}}`,
		`{"port":{"parent":{"parent":{"id":"c"},"id":"b"},"id":"a","tags":{"x":"y"},"ips":[{"ip":"1","subnet":"s"}]}}`,
		`{"port":{"id":"a","binding":{"host":"h","more":[{"x":1}],"id":2}}}`,
		`{"ports":[],"by_name":{}}`,
		`{"ports":[{"id":"a"},{"id":"b"}],"by_name":{"":{"id":"c"}}}`,
		`{"deep":[[null,{"ip":"1","subnet":"s"}],[null,null]]}`,
		`{"custom":{"what":"ever"},"since":"2024-01-01T00:00:00Z","case":{"A":1}}`,
		`{"quoted":{"a":"x","b":"7"}}`,
	} {
		if err := UnmarshalArgs(text, new(portArgs)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if err := UnmarshalArgs(`{"ports":[{"id":"a"}]}`, new(map[string][]port)); err != nil {
			t.Error(err)
		}
	}
	var args portArgs
	if err := UnmarshalArgs(`{"port":{"id":"a","binding":{"host":"h","more":1}}}`, &args); err != nil {
		t.Fatal(err)
	}
	bound, _ := args.Port.Or(port{}).Binding.Get()
	if want := (binding{"h", Extra{"more": int64(1)}}); !reflect.DeepEqual(bound, want) {
		t.Errorf("got %+v, want %+v", bound, want)
	}
	if text := must[string](t)(MarshalArgs(args)); text != `{"port":{"id":"a","binding":{"host":"h","more":1}}}` {
		t.Errorf("written: %s", text)
	}
}

func TestStructsWithinArgumentsAreStrict(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text, path string
		parts      []string
	}{
		{`{"port":{"id":"a","colour":"red"}}`, "/port/colour",
			[]string{`at /port/colour: there is no member "colour"`, "the object has id (string), name (string, optional), tags (object, optional)"}},
		{`{"port":{}}`, "/port", []string{`at /port: missing member "id"`, "the object has id (string)"}},
		{`{"port":{"id":null}}`, "/port/id", []string{"at /port/id: wanted string, got null"}},
		{`{"port":{"id":"a","hidden":1}}`, "/port/hidden", []string{`"hidden"`}},
		{`{"port":{"id":"a","Ignored":1}}`, "/port/Ignored", []string{`"Ignored"`}},
		{`{"port":{"ID":"a"}}`, "/port/ID", []string{`"ID"`}},
		{`{"ports":[{"id":"a"},{"id":"b","x":1}]}`, "/ports/1/x", []string{"at /ports/1/x"}},
		{`{"ports":[{"id":"a"},{}]}`, "/ports/1", []string{"missing member"}},
		{`{"ports":[{"id":"a"},null]}`, "/ports/1", []string{"at /ports/1: wanted object, got null"}},
		{`{"by_name":{"a/b":{"id":"a","x":1}}}`, "/by_name/a~1b/x", []string{`"x"`}},
		{`{"by_name":{"a":null}}`, "/by_name/a", []string{"wanted object, got null"}},
		{`{"pointer":{"id":"a","x":1}}`, "/pointer/x", []string{`"x"`}},
		{`{"deep":[[null,{"ip":"1"}],[null,null]]}`, "/deep/0/1", []string{`missing member "subnet"`, "subnet (string), ip (string)"}},
		{`{"deep":[[null,null],[{},null]]}`, "/deep/1/0", []string{`missing members "subnet", "ip"`}},
		{`{"port":{"id":"a","parent":{"id":"b","parent":{"x":1}}}}`, "/port/parent/parent/x", []string{`"x"`}},
		{`{"port":{"id":"a","ips":[{"ip":"1","subnet":"s","port":1}]}}`, "/port/ips/0/port", []string{`"port"`}},
		{`{"port":{"id":"a","binding":{}}}`, "/port/binding", []string{`missing member "host"`, "host (string), any others"}},
		{`{"quoted":{"a":"x"}}`, "/quoted", []string{`missing member "b"`}},
	} {
		check(t, UnmarshalArgs(test.text, new(portArgs)), rpc.BadArguments, test.path, test.parts...)
	}
	check(t, UnmarshalArgs(`{"a":[{"id":"x"},{}]}`, new(map[string][]port)), rpc.BadArguments, "/a/1", `missing member "id"`)
}

// A result may have additional members.
func TestResultsAreReadLeniently(t *testing.T) {
	t.Parallel()
	var got []port
	if err := Unmarshal(`[{"id":"a","colour":"red"},{}]`, &got, rpc.BadResult); err != nil || len(got) != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
}

type (
	family struct {
		Name string   `json:"name"`
		Sub  []family `json:"sub"`
	}
	circle []circle
)

// Embedded fields follow the rules of the JSON library: of several with one name, the least deeply
// nested counts.
func TestShapesOfTypes(t *testing.T) {
	t.Parallel()
	type deep struct {
		ID   int    `json:"id"`
		Name string `json:"name"`
	}
	type shadows struct {
		deep
		*Location
		ID string `json:"id"`
	}
	type args struct {
		Tree Opt[family]  `json:"tree"`
		Loop Opt[circle]  `json:"loop"`
		Over Opt[shadows] `json:"over"`
	}
	for text, path := range map[string]string{
		`{"tree":{"name":"a","sub":[{"name":"b","sub":[]}]}}`:   "",
		`{"tree":{"name":"a","sub":[{"name":"b","sub":null}]}}`: "",
		`{"tree":{"name":"a","sub":[{"name":"b"}]}}`:            "/tree/sub/0",
		`{"loop":[[],[[],[]]]}`:                                 "",
		`{"over":{"id":"x","name":"y"}}`:                        "",
		`{"over":{"id":"x","name":"y","subnet":"z"}}`:           "",
		`{"over":{"name":"y"}}`:                                 "/over",
	} {
		err := UnmarshalArgs(text, new(args))
		switch {
		case path != "":
			check(t, err, rpc.BadArguments, path)
		case err != nil:
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestTypesThatCannotBeJSON(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		result reflect.Type
		want   string // empty if it can
	}{
		{reflect.TypeFor[chan int](), "the result is of type chan int, which cannot be JSON"},
		{reflect.TypeFor[func()](), "func()"},
		{reflect.TypeFor[complex128](), "complex128"},
		{reflect.TypeFor[complex64](), "complex64"},
		{reflect.TypeFor[unsafe.Pointer](), "unsafe.Pointer"},
		{reflect.TypeFor[[]map[string]chan int](), "the result has [][], which is of type chan int"},
		{reflect.TypeFor[struct{ A struct{ B *func() } }](), "has .A.B, which is of type func()"},
		{reflect.TypeFor[Opt[chan int]](), "chan int"},
		{reflect.TypeFor[map[[2]int]string](), "its keys"},
		{reflect.TypeFor[struct{ a int }](), "no exported fields"},
		{reflect.TypeFor[[]struct {
			Extra
			A int `json:"a,omitempty"`
		}](), `"omitempty"`},
		{reflect.TypeFor[any](), ""},
		{reflect.TypeFor[error](), ""},
		{reflect.TypeFor[struct{}](), ""},
		{reflect.TypeFor[Raw](), ""},
		{reflect.TypeFor[Extra](), ""},
		{reflect.TypeFor[binding](), ""},
		{reflect.TypeFor[map[time.Time]family](), ""},
		{reflect.TypeFor[map[int8][]circle](), ""},
		{reflect.TypeFor[*port](), ""},
		{reflect.TypeFor[struct {
			A chan int `json:"-"`
			b func()
			C int
		}](), ""},
	} {
		err := CheckResult(test.result)
		if test.want == "" && err != nil {
			t.Errorf("%v: %v", test.result, err)
		} else if test.want != "" {
			check(t, err, rpc.Invalid, "", test.want)
		}
	}
	type channel struct {
		A []struct{ B chan int } `json:"a"`
	}
	_, _, err := Describe(reflect.TypeFor[channel]())
	check(t, err, rpc.Invalid, "", `its argument "a" has [].B, which is of type chan int`)
	_, _, err = Describe(reflect.TypeFor[map[string]chan int]())
	check(t, err, rpc.Invalid, "", "chan int")
	if strings.Contains(err.Error(), "the result") {
		t.Errorf("an argument is called a result: %v", err)
	}
}
