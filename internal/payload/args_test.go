package payload

import (
	"math"
	"math/big"
	"reflect"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

type named struct {
	First  string `json:"first"`
	Second int    `json:"second"`
}

type optionals struct {
	A int            `json:"a"`
	B Opt[string]    `json:"b"`
	C Opt[*int]      `json:"c,omitzero"`
	D Opt[[]float64] `json:"d"`
}

type catching struct {
	A int `json:"a"`
	Extra
}

type base struct {
	Host string `json:"host"`
	deeper
}

type deeper struct {
	Zone   Opt[string] `json:"zone"`
	Secret string      `json:"-"`
	hidden int
}

type embedding struct {
	base
	Untagged int
	Last     bool `json:"last"`
}

func TestMarshalArgs(t *testing.T) {
	t.Parallel()
	var none map[string]int
	pointer := &named{"x", 1}
	for _, test := range []struct {
		name string
		args any
		want string
	}{
		{"nil", nil, `{}`},
		{"struct", named{"x", 1}, `{"first":"x","second":1}`},
		{"pointer to a struct", pointer, `{"first":"x","second":1}`},
		{"pointer to a pointer", &pointer, `{"first":"x","second":1}`},
		{"empty struct", struct{}{}, `{}`},
		{"struct with nothing to send", struct {
			hidden int
			Secret string `json:"-"`
		}{1, "s"}, `{}`},
		{"map in order", map[string]any{"b": 2, "a": []int{1}, "c": nil}, `{"a":[1],"b":2,"c":null}`},
		{"map of another type", map[testName]float64{"x": 1}, `{"x":1.0}`},
		{"pointer to a map", &map[string]int{"x": 1}, `{"x":1}`},
		{"nil map", none, `{}`},
		{"empty map", map[string]any{}, `{}`},
		{"Extra", Extra{"b": 1, "a": 1.0}, `{"a":1.0,"b":1}`},
		{"Raw as it is", Raw(`{ "z" : 1.00, "z2":{} } `), `{ "z" : 1.00, "z2":{} } `},
		{"pointer to Raw", new(Raw(`{}`)), `{}`},
		{"absent is not sent", optionals{A: 1}, `{"a":1}`},
		{
			"present is sent, also when it is zero or null",
			optionals{A: 1, B: Some(""), C: Some[*int](nil), D: Some([]float64(nil))},
			`{"a":1,"b":"","c":null,"d":[]}`,
		},
		{"present values", &optionals{A: 1, B: Some("x"), D: Some([]float64{1, 0.5})}, `{"a":1,"b":"x","d":[1.0,0.5]}`},
		{"no Extra", catching{A: 1}, `{"a":1}`},
		{"Extra in order", catching{1, Extra{"z": 1, "b": "x", "m": nil}}, `{"a":1,"b":"x","m":null,"z":1}`},
		{
			"embedded, untagged and hidden",
			embedding{base{"h", deeper{Some("z"), "s", 1}}, 5, true},
			`{"host":"h","zone":"z","Untagged":5,"last":true}`,
		},
		{"embedded plain struct", struct {
			named
			Third any `json:"third"`
		}{named{"x", 1}, nil}, `{"first":"x","second":1,"third":null}`},
		{"named embedded struct is one argument", struct {
			Base named `json:"base"`
		}{named{"x", 1}}, `{"base":{"first":"x","second":1}}`},
		{"names are escaped", struct {
			A int `json:"a/b~<c>"`
		}{1}, `{"a/b~<c>":1}`},
		{"a name with spaces and letters of all sorts", struct {
			A int `json:"größe in m"`
		}{1}, `{"größe in m":1}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := must[string](t)(MarshalArgs(test.args))
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

type testName string

func TestMarshalArgsRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		args  any
		path  string
		parts []string
	}{
		{"a list", []int{1}, "", []string{"arguments must be nil, a struct, a map with string keys or Raw, not []int"}},
		{"a string", "{}", "", []string{"not string"}},
		{"a map with other keys", map[int]int{}, "", []string{"not map[int]int"}},
		{"a nil pointer", (*named)(nil), "", []string{"not a nil *payload.named"}},
		{"a function", func() {}, "", []string{"not func()"}},
		{"a channel in an interface", struct{ A any }{make(chan int)}, "/A", []string{"at /A", "chan int cannot be JSON"}},
		{"NaN", map[string]any{"a": []float64{1, math.NaN()}}, "/a/1", []string{"at /a/1", "float64 cannot be JSON", "NaN"}},
		{"infinity in an optional argument", optionals{D: Some([]float64{math.Inf(1)})}, "/d/0", []string{"at /d/0", "Inf"}},
		{"what is not UTF-8", named{First: "\xff"}, "/first", []string{"at /first", "UTF-8"}},
		{"what is not UTF-8, beside an Opt", optionals{B: Some("\xff")}, "/b", []string{"at /b", "UTF-8"}},
		{"Extra that has a field", catching{1, Extra{"a": 2}}, "/a", []string{"at /a", "Extra", "set the field"}},
		{"a name in Extra that is not UTF-8", catching{1, Extra{"\xff": 2}}, "", []string{"UTF-8"}},
		{"a slash in a name", catching{1, Extra{"x/y~": make(chan int)}}, "/x~1y~0", []string{"at /x~1y~0"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := MarshalArgs(test.args)
			if got != "" {
				t.Errorf("text in spite of an error: %s", got)
			}
			check(t, err, rpc.BadArguments, test.path, test.parts...)
		})
	}
}

func TestMarshalArgsLeavesTheStructAlone(t *testing.T) {
	t.Parallel()
	args := optionals{A: 1}
	must[string](t)(MarshalArgs(&args))
	if !reflect.DeepEqual(args, optionals{A: 1}) {
		t.Errorf("changed to %+v", args)
	}
}

func TestUnmarshalArgs(t *testing.T) {
	t.Parallel()
	type pointers struct {
		P *int           `json:"p"`
		M map[string]int `json:"m"`
		S []string       `json:"s"`
		I any            `json:"i"`
		N *named         `json:"n"`
		R Raw            `json:"r"`
	}
	for _, test := range []struct {
		name, text string
		want       any // what is read has its type
	}{
		{"struct", `{"first":"x","second":1}`, named{"x", 1}},
		{"any order, and space around", " \t\r\n{ \"second\" : 1 , \"first\" : \"x\" } \n", named{"x", 1}},
		{"pointer to a struct", `{"first":"x","second":1}`, &named{"x", 1}},
		{"nothing wanted, nothing there", `{}`, struct{}{}},
		{"absent", `{"a":1}`, optionals{A: 1}},
		{"present, also when zero or null", `{"a":0,"b":"","c":null,"d":null}`,
			optionals{B: Some(""), C: Some[*int](nil), D: Some([]float64(nil))}},
		{"present", `{"a":1,"b":"x","c":7,"d":[1,0.5]}`,
			optionals{1, Some("x"), Some(new(7)), Some([]float64{1, 0.5})}},
		{"no others", `{"a":1}`, catching{A: 1}},
		{"others", `{"z":[1,2.0],"a":1,"A":{"b":null}}`,
			catching{1, Extra{"z": []any{int64(1), 2.0}, "A": map[string]any{"b": nil}}}},
		{"embedded, untagged and hidden", `{"host":"h","last":true,"Untagged":5,"zone":"z"}`,
			embedding{base{"h", deeper{Zone: Some("z")}}, 5, true}},
		{"null where it has a meaning", `{"p":null,"m":null,"s":null,"i":null,"n":null,"r":null}`, pointers{R: "null"}},
		{"null for what may be absent is absent", `{"a":1,"b":null}`, optionals{A: 1}},
		{"pointers", `{"p":1,"m":{"a":1},"s":["x"],"i":"y","n":{"first":"x","second":2},"r": {"b":[ 1.00]} }`,
			pointers{new(1), map[string]int{"a": 1}, []string{"x"}, "y", &named{"x", 2}, `{"b":[ 1.00]}`}},
		{"map", `{"a":1,"b":{"c":[]}}`, map[string]any{"a": int64(1), "b": map[string]any{"c": []any{}}}},
		{"map of another type", `{"a":1}`, map[testName]int8{"a": 1}},
		{"Extra", `{"a":1}`, Extra{"a": int64(1)}},
		{"Raw as it is", ` { "a":1.00 } `, Raw(` { "a":1.00 } `)},
		{"escaped names", `{"\u0066irst":"\u00e9","second":1}`, named{"é", 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := reflect.New(reflect.TypeOf(test.want))
			if err := UnmarshalArgs(test.text, got.Interface()); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got.Elem().Interface(), test.want) {
				t.Errorf("got  %+v\nwant %+v", got.Elem().Interface(), test.want)
			}
		})
	}
}

func TestUnmarshalArgsRefuses(t *testing.T) {
	t.Parallel()
	type deep struct {
		Volumes []struct {
			Size int            `json:"size"`
			Tags map[string]int `json:"tags"`
		} `json:"volumes"`
	}
	for _, test := range []struct {
		name, text string
		dst        any
		path       string
		parts      []string
	}{
		{"missing", `{"second":1}`, new(named), "", []string{`missing argument "first"`, "the method takes first (string), second (integer)"}},
		{"several missing", `{}`, new(named), "", []string{`missing arguments "first", "second"`}},
		{"unknown", `{"first":"x","second":1,"third":2}`, new(named), "/third",
			[]string{`there is no argument "third"`, "the method takes first (string), second (integer)"}},
		{"unknown, where none is taken", `{"a":1}`, new(struct{}), "/a", []string{`there is no argument "a"`, "takes no arguments"}},
		{"missing, where others are taken too", `{"b":1}`, new(catching), "", []string{`missing argument "a"`, "a (integer), any others"}},
		{"wrong case is unknown", `{"First":"x","second":1}`, new(named), "/First", []string{`there is no argument "First"; did you mean "first"?`}},
		{"the Go name is not the argument's", `{"A":1}`, new(optionals), "/A",
			[]string{`"A"`, "a (integer), b (string, optional), c (integer, optional), d (array of number, optional)"}},
		{"hidden is unknown", `{"host":"h","Secret":"s"}`, new(embedding), "/Secret", []string{`"Secret"`}},
		{"a slash in a name", `{"x/y~":1}`, new(named), "/x~1y~0", []string{`there is no argument "x/y~"`}},
		{"null for a string", `{"first":null,"second":1}`, new(named), "/first", []string{"at /first: wanted string, got null"}},
		{"null for an integer", `{"first":"x","second":null}`, new(named), "/second", []string{"at /second: wanted integer, got null"}},
		{"null for a name with a slash", `{"x/y":null}`, new(struct {
			A int `json:"x/y"`
		}), "/x~1y", []string{"at /x~1y: wanted integer, got null"}},
		{"wrong type", `{"first":[],"second":1}`, new(named), "/first", []string{"at /first: wanted string, got array"}},
		{"a fraction for an integer", `{"first":"x","second":1.5}`, new(named), "/second", []string{"at /second: wanted integer, got number"}},
		{"an integral float for an integer", `{"first":"x","second":1.0}`, new(named), "/second", []string{"wanted integer, got number"}},
		{"wrong type of an optional argument", `{"a":1,"d":[1,"x"]}`, new(optionals), "/d/1", []string{`at /d/1: wanted number, got string`}},
		{"deep within", `{"volumes":[{},{"size":"big"}]}`, new(deep), "/volumes/1/size", []string{"at /volumes/1/size: wanted integer, got string"}},
		{"a name with a slash, deep within", `{"volumes":[{"tags":{"a/b":{}}}]}`, new(deep), "/volumes/0/tags/a~1b", []string{"wanted integer, got object"}},
		{"out of range", `{"a":300}`, new(map[string]int8), "/a", []string{"the number is out of the range of int8"}},
		{"wrong type in a map", `{"a":"x"}`, new(map[string]int), "/a", []string{"at /a: wanted integer, got string"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			check(t, UnmarshalArgs(test.text, test.dst), rpc.BadArguments, test.path, test.parts...)
		})
	}
}

func TestUnmarshalArgsRefusesWhatIsNoObject(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``:          "not nothing",
		"  \n":      "not nothing",
		`null`:      "not null",
		`[]`:        "not an array",
		`[{"a":1}]`: "not an array",
		`"{}"`:      "not a string",
		`5`:         "not a number",
		`true`:      "not a boolean",
		`nul`:       "not something malformed",
		"\ufeff{}":  "not something malformed",
		`}`:         "not something malformed",
	} {
		for _, dst := range []any{new(named), new(struct{}), new(optionals), new(catching), new(map[string]any), new(Raw), new(any), new(*named)} {
			check(t, UnmarshalArgs(text, dst), rpc.BadArguments, "", "the arguments must be a JSON object", want)
		}
	}
}

func TestUnmarshalArgsRefusesMalformedText(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, path, want string }{
		{`{`, "", "it ends too early"},
		{`{"a"`, "/a", "it ends too early"},
		{`{"a":`, "/a", "it ends too early"},
		{`{"a":1`, "", "it ends too early"},
		{`{"a":1,`, "", "it ends too early"},
		{`{"a":1,}`, "", "invalid character"},
		{`{a:1}`, "", "invalid character 'a'"},
		{`{"a":01}`, "", "invalid character '1'"},
		{`{"a":tru}`, "/a", "invalid character"},
		{`{"a":1,"a":2}`, "/a", "the name appears twice"},
		{`{"a":1,"\u0061":2}`, "/a", "the name appears twice"},
		{`{"a":1}}`, "", "invalid character '}'"},
		{`{"a":1} {}`, "", "invalid character '{'"},
		{`{"a":1} x`, "", "invalid character 'x'"},
		{"{\"a\":\"\xff\"}", "/a", "UTF-8"},
		{`{"a":"\ud800"}`, "/a", "surrogate"},
	} {
		for _, dst := range []any{new(struct {
			A any `json:"a"`
		}), new(struct{ Extra }), new(map[string]any), new(any)} {
			check(t, UnmarshalArgs(test.text, dst), rpc.BadArguments, test.path, "malformed JSON: ", test.want)
		}
	}
}

func TestManyArguments(t *testing.T) {
	t.Parallel()
	// This is more than the sixteen members whose presence is recorded without an allocation.
	type many struct {
		A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11, A12, A13, A14, A15, A16, A17, A18 int
		Last                                                                            Opt[*big.Int]
	}
	want := many{A1: 1, A16: 16, A17: 17, A18: 18, Last: Some(big.NewInt(19))}
	text := must[string](t)(MarshalArgs(want))
	var got many
	if err := UnmarshalArgs(text, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	check(t, UnmarshalArgs(`{"A1":1,"A2":1,"A3":1,"A4":1,"A5":1,"A6":1,"A7":1,"A8":1,"A9":1,"A10":1,`+
		`"A11":1,"A12":1,"A13":1,"A14":1,"A15":1,"A16":1,"A17":1}`, &got), rpc.BadArguments, "", `missing argument "A18";`)
}
