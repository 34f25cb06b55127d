package payload

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// chatty is a type whose errors repeat its input, as errors of many types do.
type chatty struct{}

func (*chatty) UnmarshalJSON(b []byte) error { return fmt.Errorf("%s is not for me", b) }

type chattyText struct{}

func (*chattyText) UnmarshalText(b []byte) error { return fmt.Errorf("%s is not for me", b) }

// secretNumber and secretText are values that no error may contain, in whole or in part.
const (
	secretNumber = "4929123456789012"
	secretText   = "hunter2hunter2"
)

func wantNoSecret(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
		return
	}
	if text := err.Error(); strings.Contains(text, "4929") || strings.Contains(text, "hunter2") {
		t.Errorf("%s: the error tells the value: %s", what, text)
	}
}

// If a value cannot be decoded into a type, the error does not contain the value.
func TestErrorsTellNoValue(t *testing.T) {
	t.Parallel()
	values := []string{
		secretNumber, "-" + secretNumber, secretNumber + ".5", secretNumber + "e400", secretNumber + strings.Repeat("0", 30), `"` + secretText + `"`,
		`"` + secretNumber + `"`, "[" + secretNumber + "]", `["` + secretText + `"]`, `{"a":` + secretNumber + `}`, `{"a":"` + secretText + `"}`,
		`"` + secretText, secretText, `"\ud800` + secretText + `"`, `[` + secretNumber + " " + secretNumber + "]", secretNumber + secretText,
	}
	types := map[string]func() any{
		"bool": func() any { return new(bool) }, "int8": func() any { return new(int8) }, "uint16": func() any { return new(uint16) },
		"float32": func() any { return new(float32) }, "string": func() any { return new(string) }, "bytes": func() any { return new([]byte) },
		"time": func() any { return new(time.Time) }, "duration": func() any { return new(time.Duration) }, "address": func() any { return new(netip.Addr) },
		"big": func() any { return new(big.Int) }, "rational": func() any { return new(big.Rat) }, "any": func() any { return new(any) },
		"struct": func() any { return new(struct{ A chatty }) }, "list": func() any { return new([]bool) }, "array": func() any { return new([2]uint8) },
		"map": func() any { return new(map[string]int8) }, "keys": func() any { return new(map[int8]int8) }, "chatty": func() any { return new(chatty) },
		"chatty text": func() any { return new(chattyText) }, "list of chatty": func() any { return new([]chatty) },
		"map of chatty": func() any { return new(map[string]chattyText) }, "json number": func() any { return new(json.Number) },
	}
	failures := 0
	for name, fresh := range types {
		for _, value := range values {
			if err := Unmarshal(value, fresh(), rpc.BadArguments); err != nil {
				failures++
				wantNoSecret(t, name+" from "+value, err)
			}
		}
	}
	if all := len(types) * len(values); failures < all/2 {
		t.Errorf("%d of %d values cannot be read: the test sees little", failures, all)
	}
}

func TestErrorsOfValuesTellNoValue(t *testing.T) {
	t.Parallel()
	number := structpb.NewNumberValue(49291234567890123456)
	_, err := FromValue(number, rpc.BadArguments)
	wantNoSecret(t, "a protobuf value", err)
	_, err = ToValue("[4929123456789012345]", rpc.BadArguments)
	wantNoSecret(t, "JSON for a protobuf value", err)
	if !errors.Is(err, rpc.BadArguments) {
		t.Errorf("got %v", err)
	}
}
