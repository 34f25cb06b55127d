package payload

import (
	"encoding/json"
	"math/big"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

type (
	tree       []tree
	loop       *loop
	namedByte  byte
	namedFloat float64
)

func TestTypeWord(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		want string
		of   []any // pointers to values of the types
	}{
		{"string", []any{new(string), new(testName), new(*string), new([]byte), new([4]byte), new(time.Time), new(netip.Addr), new(ownText), new(big.Float)}},
		{"integer", []any{
			new(int), new(int8), new(int16), new(int32), new(int64), new(uint), new(uint8), new(uint16), new(uint32), new(uint64),
			new(big.Int), new(*big.Int), new(time.Duration), new(namedByte),
		}},
		{"number", []any{new(float32), new(float64), new(namedFloat), new(**float64)}},
		{"boolean", []any{new(bool), new(*bool)}},
		{"object", []any{new(named), new(*named), new(map[string]int), new(map[int]string), new(Extra), new(struct{})}},
		{"array of integer", []any{new([]int), new([3]int), new([]*int), new([]namedByte), new([2]namedByte)}},
		{"array of string", []any{new([]string), new([][]byte), new([]time.Time)}},
		{"array of any", []any{new([]any), new([]Raw)}},
		{"array of array of number", []any{new([][]float64)}},
		{"array of object", []any{new([]named), new([]map[string]any)}},
		{"any", []any{new(any), new(Raw), new(error), new(jsontext.Value), new(json.RawMessage), new(Opt[int]), new(ownWriter)}},
		{"array of array of array of array of any", []any{new(tree)}},
		{"any", []any{new(loop)}},
	} {
		for _, pointer := range test.of {
			typ := reflect.TypeOf(pointer).Elem()
			if got := TypeWord(typ); got != test.want {
				t.Errorf("%v: got %q, want %q", typ, got, test.want)
			}
		}
	}
}

type ownWriter struct{}

func (ownWriter) MarshalJSONTo(enc *jsontext.Encoder) error { return enc.WriteToken(jsontext.Null) }

func TestDescribe(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		of    reflect.Type
		args  []Argument
		extra bool
	}{
		{"nothing", reflect.TypeFor[struct{}](), nil, false},
		{"required", reflect.TypeFor[named](), []Argument{{"first", "string", false}, {"second", "integer", false}}, false},
		{"pointer", reflect.TypeFor[*named](), []Argument{{"first", "string", false}, {"second", "integer", false}}, false},
		{"optional", reflect.TypeFor[optionals](), []Argument{
			{"a", "integer", false}, {"b", "string", true}, {"c", "integer", true}, {"d", "array of number", true},
		}, false},
		{"with others", reflect.TypeFor[catching](), []Argument{{"a", "integer", false}}, true},
		{"embedded", reflect.TypeFor[embedding](), []Argument{
			{"host", "string", false}, {"zone", "string", true}, {"Untagged", "integer", false}, {"last", "boolean", false},
		}, false},
		{"map", reflect.TypeFor[map[string]int](), nil, true},
		{"Extra", reflect.TypeFor[Extra](), nil, true},
		{"Raw", reflect.TypeFor[Raw](), nil, true},
		{"any", reflect.TypeFor[any](), nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			args, extra, err := Describe(test.of)
			if err != nil || extra != test.extra || !reflect.DeepEqual(args, test.args) {
				t.Errorf("got %+v, %v, %v", args, extra, err)
			}
		})
	}
}

func TestDescribeRefusesWhatCannotHoldArguments(t *testing.T) {
	t.Parallel()
	for _, of := range []reflect.Type{
		reflect.TypeFor[int](), reflect.TypeFor[string](), reflect.TypeFor[[]int](), reflect.TypeFor[map[int]int](), reflect.TypeFor[func()](),
	} {
		_, _, err := Describe(of)
		check(t, err, rpc.Invalid, "", of.String()+" cannot hold arguments: use a struct, a map with string keys or Raw")
	}
}
