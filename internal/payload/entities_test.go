package payload

import (
	"errors"
	"slices"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestMapArgsGoesByName(t *testing.T) {
	t.Parallel()
	var seen []any
	got, err := MapArgs(`{"c":3,"a":[1.0],"b":null}`, func(v any) (any, error) {
		seen = append(seen, v)
		return map[string]any{"v": v}, nil
	})
	if want := `{"a":{"v":[1.0]},"b":{"v":null},"c":{"v":3}}`; got != want || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
	if len(seen) != 3 || seen[1] != nil || !slices.Equal(seen[2:], []any{int64(3)}) {
		t.Errorf("it was asked for %v", seen)
	}
	if got, err := MapArgs(`{}`, nil); got != `{}` || err != nil {
		t.Errorf("of none: %s, %v", got, err)
	}
}

func TestMapResult(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`null`, `1.0`, `9007199254740993`, `{"a":[1,"x"]}`} {
		if got, err := MapResult(text, func(v any) (any, error) { return v, nil }); got != text || err != nil {
			t.Errorf("of %s: %s, %v", text, got, err)
		}
	}
}

func TestMapFailures(t *testing.T) {
	t.Parallel()
	broken := &rpc.Error{Kind: rpc.Timeout, Message: "another message's"}
	fails := func(any) (any, error) { return nil, broken }
	noJSON := func(any) (any, error) { return func() {}, nil }
	for name, test := range map[string]struct {
		do   func(string, func(any) (any, error)) (string, error)
		text string
		f    func(any) (any, error)
		kind rpc.Kind
		path string
	}{
		"argument":               {MapArgs, `{"a/b":1}`, fails, rpc.BadArguments, "/a~1b"},
		"argument that is none":  {MapArgs, `{"a/b":1}`, noJSON, rpc.BadArguments, "/a~1b"},
		"arguments that are not": {MapArgs, `[1]`, fails, rpc.BadArguments, ""},
		"number beyond Go":       {MapArgs, `{"a":1e999}`, fails, rpc.BadArguments, "/a"},
		"result":                 {MapResult, `1`, fails, rpc.BadResult, ""},
		"result that is none":    {MapResult, `1`, noJSON, rpc.BadResult, ""},
		"malformed result":       {MapResult, `{`, fails, rpc.BadResult, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := test.do(test.text, test.f)
			e, ok := errors.AsType[*rpc.Error](err)
			if !ok || e.Kind != test.kind || e.Path != test.path {
				t.Errorf("got %#v", err)
			}
		})
	}
}
