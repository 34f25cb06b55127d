package payload

import (
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func bigInt(t *testing.T, digits string) *big.Int {
	t.Helper()
	n, ok := new(big.Int).SetString(digits, 10)
	if !ok {
		t.Fatalf("%q is no integer", digits)
	}
	return n
}

func TestNumbersAreWritten(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		want string
		of   []any
	}{
		{`1`, []any{1, int8(1), uint64(1), big.NewInt(1), *big.NewInt(1), time.Nanosecond, namedByte(1)}},
		{`1.0`, []any{1.0, float32(1), new(1.0), any(1.0)}},
		{`-1.0`, []any{-1.0, float32(-1)}},
		{`0.0`, []any{0.0, float32(0)}},
		{`-0.0`, []any{math.Copysign(0, -1)}},
		{`1.5`, []any{1.5, float32(1.5)}},
		{`0.1`, []any{0.1, float32(0.1)}},
		{`1e-7`, []any{1e-7}},
		{`100000000000000000000.0`, []any{1e20}},
		{`1e+21`, []any{1e21}},
		{`16777216.0`, []any{float32(1 << 24), float64(1 << 24)}},
		{`9223372036854775807`, []any{int64(math.MaxInt64)}},
		{`-9223372036854775808`, []any{int64(math.MinInt64)}},
		{`18446744073709551615`, []any{uint64(math.MaxUint64)}},
		{`340282366920938463463374607431768211456`, []any{new(big.Int).Lsh(big.NewInt(1), 128)}},
		{`1.7976931348623157e+308`, []any{math.MaxFloat64}},
		{`5e-324`, []any{math.SmallestNonzeroFloat64}},
		{`3600000000000`, []any{time.Hour}},
	} {
		for _, v := range test.of {
			if got := must[string](t)(Marshal(v, rpc.BadResult)); got != test.want {
				t.Errorf("%T: got %s, want %s", v, got, test.want)
			}
			want := `{"a":[` + test.want + `]}`
			if got := must[string](t)(MarshalArgs(map[string]any{"a": []any{v}})); got != want {
				t.Errorf("%T in a map: got %s, want %s", v, got, want)
			}
			want = `{"a":` + test.want + `,"n":null}`
			if got := must[string](t)(MarshalArgs(struct {
				A Opt[any] `json:"a"`
				N *int     `json:"n"`
			}{A: Some(v)})); got != want {
				t.Errorf("%T in a struct: got %s, want %s", v, got, want)
			}
		}
	}
}

func TestFloatsThatMustBeStrings(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]any{
		`{"1":2.0,"1.5":3.0}`: map[float64]float64{1: 2, 1.5: 3},
		`{"1":{"2":3.0}}`:     map[float32]map[float64]float64{1: {2: 3}},
		`{"a":"1","b":"1.5","c":1.0}`: struct {
			A float64 `json:"a,string"`
			B float64 `json:"b,string"`
			C float64 `json:"c"`
		}{1, 1.5, 1},
	} {
		got := must[string](t)(Marshal(v, rpc.BadResult))
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		back := reflect.New(reflect.TypeOf(v))
		if err := Unmarshal(got, back.Interface(), rpc.BadResult); err != nil || !reflect.DeepEqual(back.Elem().Interface(), v) {
			t.Errorf("%s is read as %+v, %v", got, back.Elem().Interface(), err)
		}
	}
}

func TestUntypedNumbersAreRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]any{
		`0`:                              int64(0),
		`-0`:                             int64(0),
		`1`:                              int64(1),
		`1.0`:                            1.0,
		`-1.5`:                           -1.5,
		`1e2`:                            100.0,
		`1E+2`:                           100.0,
		`9007199254740993`:               int64(9007199254740993), // a double would be even
		`9223372036854775807`:            int64(math.MaxInt64),
		`-9223372036854775808`:           int64(math.MinInt64),
		`9223372036854775808`:            bigInt(t, "9223372036854775808"),
		`-9223372036854775809`:           bigInt(t, "-9223372036854775809"),
		`18446744073709551617`:           bigInt(t, "18446744073709551617"),
		`123456789012345678901234567890`: bigInt(t, "123456789012345678901234567890"),
		`1e-400`:                         0.0,
		`1.7976931348623157e308`:         math.MaxFloat64,
		strings.Repeat("9", maxDigits):   bigInt(t, strings.Repeat("9", maxDigits)),
	} {
		for _, dst := range []struct {
			open, close string
			into        any
			want        any
		}{
			{"", "", new(any), want},
			{`{"a":[{"b":`, `}]}`, new(any), map[string]any{"a": []any{map[string]any{"b": want}}}},
			{`{"a":`, `}`, new(map[string]any), map[string]any{"a": want}},
			{`[`, `]`, new([]any), []any{want}},
			{`{"A":`, `}`, new(struct{ A any }), struct{ A any }{want}},
			{`{"a":`, `}`, new(Extra), Extra{"a": want}},
		} {
			err := Unmarshal(dst.open+text+dst.close, dst.into, rpc.BadResult)
			if got := reflect.ValueOf(dst.into).Elem().Interface(); err != nil || !reflect.DeepEqual(got, dst.want) {
				t.Errorf("%.40s: got %v (%T), %v", dst.open+text, got, got, err)
			}
		}
	}
}

func TestIntegersAreExactBothWays(t *testing.T) {
	t.Parallel()
	type integers struct {
		Int64  int64    `json:"int64"`
		Uint64 uint64   `json:"uint64"`
		Big    *big.Int `json:"big"`
		Value  big.Int  `json:"value"`
		Any    any      `json:"any"`
		Opt    Opt[any] `json:"opt"`
	}
	large := bigInt(t, "-123456789012345678901234567890")
	for _, want := range []integers{
		{math.MaxInt64, math.MaxUint64, large, *large, int64(math.MaxInt64), Some[any](large)},
		{math.MinInt64, 0, nil, big.Int{}, int64(math.MinInt64), Some[any](int64(1<<53 + 1))},
	} {
		var got integers
		if err := UnmarshalArgs(must[string](t)(MarshalArgs(want)), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
		}
	}
}

func TestFloatsStayFloats(t *testing.T) {
	t.Parallel()
	for _, f := range []float64{0, 1, -1, 0.1, 1e15, 1 << 53, 1e20, 1e21, 1e300, -2.5e-300, math.MaxFloat64, math.SmallestNonzeroFloat64} {
		text := must[string](t)(Marshal(map[string]any{"f": f}, rpc.BadResult))
		var got map[string]any
		if err := Unmarshal(text, &got, rpc.BadResult); err != nil || got["f"] != any(f) {
			t.Errorf("%v: %s is read as %v (%T), %v", f, text, got["f"], got["f"], err)
		}
	}
}

func TestNumbersThatAreRefused(t *testing.T) {
	t.Parallel()
	tooLong := strings.Repeat("9", maxDigits+1)
	for _, test := range []struct {
		name, text string
		dst        any
		want       string
	}{
		{"fraction into an integer", `1.5`, new(int), "wanted integer, got number"},
		{"exponent into an integer", `1e2`, new(int64), "wanted integer, got number"},
		{"negative into an unsigned integer", `-1`, new(uint), "wanted integer, got number"},
		{"too large for int8", `128`, new(int8), "the number is out of the range of int8"},
		{"too large for int64", `9223372036854775808`, new(int64), "the number is out of the range of int64"},
		{"too large for uint64", `18446744073709551616`, new(uint64), "the number is out of the range of uint64"},
		{"too large for a float", `1e400`, new(float64), "the number is out of the range of float64"},
		{"too large for a float32", `1e40`, new(float32), "the number is out of the range of float32"},
		{"too large for an untyped value", `-1e400`, new(any), "the number is out of the range of float64"},
		{"fraction into a big integer", `1.5`, new(big.Int), "wanted integer, got number"},
		{"fraction into a pointer to a big integer", `1.5`, new(*big.Int), "wanted integer, got number"},
		{"string into a big integer", `"1"`, new(big.Int), "wanted integer, got string"},
		{"too long for an untyped value", tooLong, new(any), "the number is not valid: an integer may have at most 4300 digits"},
		{"too long for a big integer", "-" + tooLong, new(*big.Int), "the number is not valid: an integer may have at most 4300 digits"},
		{"too long for an int", tooLong, new(int), "the number is out of the range of int"},
		{"not a number", `"1"`, new(float64), "wanted number, got string"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			check(t, Unmarshal(test.text, test.dst, rpc.BadResult), rpc.BadResult, "", test.want)
			within := reflect.New(reflect.MapOf(reflect.TypeFor[string](), reflect.TypeOf(test.dst).Elem()))
			check(t, UnmarshalArgs(`{"a":`+test.text+`}`, within.Interface()), rpc.BadArguments, "/a", "at /a: "+test.want)
		})
	}
}

func TestNullIsReadIntoABigInteger(t *testing.T) {
	t.Parallel()
	got := struct{ A, B *big.Int }{A: big.NewInt(1)}
	if err := Unmarshal(`{"A":null,"B":null}`, &got, rpc.BadResult); err != nil || got.A != nil || got.B != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	check(t, UnmarshalArgs(`{"A":null}`, new(struct{ A big.Int })), rpc.BadArguments, "/A", "wanted integer, got null")
}
