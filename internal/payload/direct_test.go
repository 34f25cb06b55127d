package payload

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// plainArgs has all types that are decoded and encoded directly.
type plainArgs struct {
	Text    string `json:"text"`
	Is      bool   `json:"is"`
	Number  float64
	Small   int8
	Large   int64       `json:"large"`
	Unsane  uint16      `json:"u"`
	Pointer *string     `json:"pointer"`
	Deep    *plainInner `json:"deep"`
	List    []plainInner
	Lists   [][]int `json:"lists"`
	hidden  int     //nolint:unused // It is left out.
	Left    func()  `json:"-"`
}

type plainInner struct {
	A string `json:"a"`
	B *int   `json:"b"`
}

// libraryReads decodes arguments with the library and the checks around it.
func libraryReads(s string, v reflect.Value) error {
	if err := wantObject(s); err != nil {
		return err
	}
	if err := unmarshalByLibrary(s, v); err != nil {
		return err
	}
	if shape := shapeOf(v.Type()); shape != nil && shape.nests {
		return shape.checkArgs(s)
	}
	return nil
}

func unmarshalByLibrary(s string, v reflect.Value) error {
	p, err := planOf(v.Type())
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(s), &planned{p, v}, unmarshalOptions)
}

// readsAlike fails if a text is decoded directly and the library decodes it differently.
func readsAlike[T any](t *testing.T, text string) (direct bool) {
	t.Helper()
	var got, want T
	if !readDirect(text, reflect.ValueOf(&got).Elem()) {
		if !reflect.ValueOf(got).IsZero() {
			t.Errorf("%q left %+v", text, got)
		}
		return false
	}
	if err := libraryReads(text, reflect.ValueOf(&want).Elem()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q is read as %+v, want %+v, %v", text, got, want, err)
	}
	var lenient T
	if err := json.Unmarshal([]byte(text), &lenient, unmarshalOptions); err != nil || !reflect.DeepEqual(got, lenient) {
		t.Errorf("%q is read as %+v, as a result as %+v, %v", text, got, lenient, err)
	}
	return true
}

func plainText(tb testing.TB) string {
	tb.Helper()
	s, b := "ü", 7
	args := plainArgs{
		Text: "größe", Is: true, Number: 1.5, Small: -128, Large: 123456789, Unsane: 65535, Pointer: &s, Deep: &plainInner{"x", &b},
		List: []plainInner{{"1", nil}, {"2", &b}}, Lists: [][]int{{}, {1, -2}, nil},
	}
	text, ok := writeDirect(reflect.ValueOf(args))
	if !ok {
		tb.Fatal("the arguments are not written directly")
	}
	return text
}

func TestDirectReads(t *testing.T) {
	t.Parallel()
	text := plainText(t)
	if !readsAlike[plainArgs](t, text) {
		t.Errorf("%s is not read directly", text)
	}
	spaced := strings.NewReplacer(":", " :\t", ",", "\r\n, ", "{", " { ", "]", " ] ").Replace(text) + " "
	if !readsAlike[plainArgs](t, spaced) {
		t.Errorf("%s is not read directly", spaced)
	}
	turned := `{"b":null,"a":"x"}`
	if !readsAlike[plainInner](t, turned) {
		t.Errorf("%s is not read directly", turned)
	}
}

// Wrong or merely unusual text is left to the library.
func TestDirectLeavesToTheLibrary(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "null", "[]", "{}", `{"a":"x"}`, `{"a":"x","b":1,"c":2}`, `{"a":"x","a":"y"}`, `{"a":"x","b":1}x`, `{"a":"x","b":1,}`,
		`{"a":"x" "b":1}`, `{"a":"\n","b":1}`, "{\"a\":\"\n\",\"b\":1}", "{\"a\":\"\xff\",\"b\":1}", `{"a":null,"b":1}`, `{"a":1,"b":1}`,
		`{"a":"x","b":01}`, `{"a":"x","b":-0}`, `{"a":"x","b":1.0}`, `{"a":"x","b":1e2}`, `{"a":"x","b":9223372036854775808}`, `{"a":"x","b":-}`,
		`{"a":"x","b":1_0}`, `{"a":"x","b":nul}`, `{"a":"x","b":nullx}`, `{"A":"x","b":1}`, `{"\u0061":"x","b":1}`, `{"a":"x","b":"1"}`, `{"a":"x","b":`, `{"a`,
	} {
		if readsAlike[plainInner](t, text) {
			t.Errorf("%q is read directly", text)
		}
	}
	used := plainInner{A: "before"}
	if readDirect(`{"a":"x","b":1}`, reflect.ValueOf(&used).Elem()) || used.A != "before" {
		t.Error("a value that is not zero is read directly")
	}
}

// Numbers are encoded and decoded as by the library.
func TestDirectNumbers(t *testing.T) {
	t.Parallel()
	for _, f := range []float64{
		0, 1, -1, 1.5, math.Copysign(0, -1), 1e20, 1e21, 1e22, 123456789012345680000, 0.1, 1e-6, 9.99e-7, 1e-7, 5e-324, math.MaxFloat64, math.Pi, -math.Pi, 1 << 53,
		math.NaN(), math.Inf(1),
	} {
		got, ok := writeDirect(reflect.ValueOf(f))
		if want, err := json.Marshal(f, marshalOptions); ok && (err != nil || got != string(want)) {
			t.Errorf("%v is written as %s, want %s, %v", f, got, want, err)
		}
	}
	type number struct{ N float64 }
	for _, s := range []string{"0", "-0", "0.0", "-0.0", "-0.5", "1.", ".5", "1.25", "100000000000000", "1000000000000000000000", "1e3", "00", "-00.5", "1.2.3", "--1", "+1"} {
		readsAlike[number](t, `{"N":`+s+`}`)
	}
	type small struct{ N int8 }
	type whole struct{ N uint8 }
	for _, s := range []string{"127", "128", "-128", "-129", "255", "256", "-1", "1.0", "0"} {
		readsAlike[small](t, `{"N":`+s+`}`)
		readsAlike[whole](t, `{"N":`+s+`}`)
	}
}

// Texts are encoded as by the library.
func TestDirectTexts(t *testing.T) {
	t.Parallel()
	for c := range rune(0x300) {
		s := "a" + string(c) + "z"
		got, ok := writeDirect(reflect.ValueOf(s))
		if want, err := json.Marshal(s, marshalOptions); ok && (err != nil || got != string(want)) {
			t.Errorf("%q is written as %s, want %s, %v", s, got, want, err)
		}
	}
	for _, s := range []string{"\u2028", "<&>", "\xff", "\xed\xa0\x80", strings.Repeat("x", maxKept+1)} {
		got, ok := writeDirect(reflect.ValueOf(s))
		if want, err := json.Marshal(s, marshalOptions); ok && (err != nil || got != string(want)) {
			t.Errorf("%q is written as %s, want %s, %v", s, got, want, err)
		}
	}
	list := make([]int, maxKept)
	if _, ok := writeDirect(reflect.ValueOf(list)); ok {
		t.Error("a large list is written directly")
	}
}

// Values are encoded as by the library.
func TestDirectValues(t *testing.T) {
	t.Parallel()
	n := 3
	for _, v := range []any{
		plainArgs{}, &plainArgs{}, plainInner{"x", &n}, (*plainInner)(nil), []plainInner{{}, {"y", nil}}, []string(nil), []string{}, []*int{nil, &n},
		"x", true, 1, uint8(2), int64(math.MinInt64), uint64(math.MaxUint64), newBenchArgs(),
	} {
		got, ok := writeDirect(reflect.ValueOf(v))
		want, err := json.Marshal(v, marshalOptions)
		if !ok || err != nil || got != string(want) {
			t.Errorf("%T is written as %s, %v, want %s, %v", v, got, ok, want, err)
		}
	}
}

// Types with their own JSON methods are left to the library.
func TestTypesThatAreNotDirect(t *testing.T) {
	t.Parallel()
	type recursive struct {
		Next *recursive
	}
	for _, v := range []any{
		Raw("1"), Opt[int]{}, struct{ A Opt[int] }{}, time.Now(), time.Second, struct{ D time.Duration }{}, map[string]int{}, []byte{}, [2]int{}, float32(1),
		struct{}{}, struct{ A any }{}, struct{ plainInner }{}, struct{ Extra }{}, recursive{}, struct {
			A int `json:"a,omitzero"`
		}{}, struct {
			A int `json:"a,string"`
		}{}, struct {
			A int `json:"ü"`
		}{}, struct{ P **int }{},
	} {
		if directOf(reflect.TypeOf(v)) != nil {
			t.Errorf("%T is read and written directly", v)
		}
	}
}

// The capacity of a list is no larger than the text could fill.
func TestDirectListsAreBounded(t *testing.T) {
	type element struct{ A, B, C, D, E, F, G, H string }
	type args struct{ L [][]element }
	one := `{"A":"","B":"","C":"","D":"","E":"","F":"","G":"","H":""}`
	train := `{"L":[[` + strings.Repeat(one+",", maxUsual) + one + `]]}`
	var trained args
	if !readDirect(train, reflect.ValueOf(&trained).Elem()) {
		t.Fatal("it is not read directly")
	}
	var got args
	text := `{"L":[` + strings.Repeat("["+one+"],", 100) + `[]]}`
	if !readDirect(text, reflect.ValueOf(&got).Elem()) {
		t.Fatal("it is not read directly")
	}
	size := 0
	for _, l := range got.L {
		size += cap(l) * int(reflect.TypeFor[element]().Size())
	}
	if most := len(text) + 100*int(reflect.TypeFor[element]().Size()); size > most {
		t.Errorf("lists have room for %d bytes, want at most %d", size, most)
	}
}

func FuzzDirect(f *testing.F) {
	f.Add(plainText(f))
	f.Add(`{"a":"x","b":1}`)
	f.Fuzz(func(t *testing.T, text string) {
		readsAlike[plainArgs](t, text)
		readsAlike[plainInner](t, text)
	})
}

// Errors in arguments are the same whether or not a type is decoded directly.
func TestDirectErrors(t *testing.T) {
	t.Parallel()
	err := UnmarshalArgs(`{"a":"x","b":"1"}`, &plainInner{})
	e, ok := err.(*rpc.Error) //nolint:errorlint // It must not be wrapped.
	if !ok || e.Kind != rpc.BadArguments || e.Path != "/b" {
		t.Errorf("got %v", err)
	}
}
