package msgcontext

import (
	"context"
	"errors"
	"math/big"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/internal/payload"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestMain(m *testing.M) { leak.Main(m) }

type dict = map[string]any

func withText(t *testing.T, ctx context.Context, text string) context.Context {
	t.Helper()
	ctx, err := WithText(ctx, text)
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

func checkText(t *testing.T, ctx context.Context, want string) {
	t.Helper()
	if got, err := Text(ctx); err != nil || got != want {
		t.Errorf("the text is %q, %v, want %q", got, err, want)
	}
}

func checkDict(t *testing.T, ctx context.Context, want dict) {
	t.Helper()
	if got := Dict(ctx); !reflect.DeepEqual(got, want) {
		t.Errorf("the dict is %#v, want %#v", got, want)
	}
}

func TestThereIsNoneAtFirst(t *testing.T) {
	t.Parallel()
	checkText(t, t.Context(), "")
	checkDict(t, t.Context(), nil)
}

func TestDictIsCarriedInBothForms(t *testing.T) {
	t.Parallel()
	given := dict{"user": "bob", "roles": []string{"admin"}, "n": 1, "f": 1.0}
	ctx := With(t.Context(), given)
	checkDict(t, ctx, given) // as it was given, not as JSON would make it
	checkText(t, ctx, `{"f":1.0,"n":1,"roles":["admin"],"user":"bob"}`)
}

func TestTextIsCarriedInBothForms(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		want dict
	}{
		{`{"user":"bob","admin":false,"none":null}`, dict{"user": "bob", "admin": false, "none": nil}},
		{"{\"n\": 9007199254740993,\n \"f\": 1.0}", dict{"n": int64(9007199254740993), "f": 1.0}},
		{`{"nested":{"a":[1,"x",{}]}}`, dict{"nested": dict{"a": []any{int64(1), "x", dict{}}}}},
		{` { } `, dict{}},
		{`{"":0}`, dict{"": int64(0)}},
	} {
		ctx := withText(t, t.Context(), test.text)
		checkText(t, ctx, test.text) // to the letter, for the calls that the method makes
		checkDict(t, ctx, test.want)
	}
}

func TestOneTakesThePlaceOfAnother(t *testing.T) {
	t.Parallel()
	outer := With(t.Context(), dict{"a": 1})
	checkDict(t, With(outer, dict{"b": 2}), dict{"b": 2})
	checkText(t, withText(t, outer, `{"c":3}`), `{"c":3}`)
	for name, none := range map[string]context.Context{
		"an empty text": withText(t, outer, ""), "an empty object": withText(t, outer, "{}"),
		"an empty dict": With(outer, dict{}), "a nil dict": With(outer, nil),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkText(t, none, "")
			checkDict(t, none, nil)
		})
	}
	checkDict(t, outer, dict{"a": 1})
}

func TestTextMustBeAnObject(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"null", "[]", "1", `"{}"`, " ", "{", `{"a"}`, `{"a":1}}`, `{"a":1} {}`, "{'a':1}", `{"a":1,"a":2}`, "{\"a\":\"\xff\"}", `{"a":NaN}`,
		strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000),
	} {
		ctx, err := WithText(t.Context(), text)
		e, ok := errors.AsType[*rpc.Error](err)
		if !ok || ctx != nil {
			t.Errorf("%.40q: got %v, want an error", text, err)
			continue
		}
		if e.Kind != rpc.BadArguments || !e.NotStarted || !strings.Contains(e.Message, "request context must be a JSON object") {
			t.Errorf("%.40q: got %+v", text, e)
		}
	}
}

// If an entry has no Go type, the other entries must not be lost: is_admin false is not the same as
// absent.
func TestNumberWithoutGoTypeStaysText(t *testing.T) {
	t.Parallel()
	digits := strings.Repeat("9", 5000)
	ctx := withText(t, t.Context(), `{"a":1,"b":1e999,"c":{"d":[`+digits+`]},"is_admin":false}`)
	checkDict(t, ctx, dict{
		"a": int64(1), "b": payload.Raw("1e999"), "c": payload.Raw(`{"d":[` + digits + `]}`), "is_admin": false,
	})
	checkText(t, With(t.Context(), Dict(ctx)), `{"a":1,"b":1e999,"c":{"d":[`+digits+`]},"is_admin":false}`)

	large, _ := new(big.Int).SetString(strings.Repeat("9", 100), 10)
	checkDict(t, withText(t, t.Context(), `{"n":`+strings.Repeat("9", 100)+`}`), dict{"n": large})
}

func TestDictThatCannotBeJSON(t *testing.T) {
	t.Parallel()
	ctx := With(t.Context(), dict{"a": dict{"b": make(chan int)}})
	for range 2 {
		text, err := Text(ctx)
		e, ok := errors.AsType[*rpc.Error](err)
		if !ok || e.Kind != rpc.BadArguments || e.Path != "/a/b" || text != "" {
			t.Errorf("got %q, %+v", text, err)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	ctx := withText(t, t.Context(), `{"user":"bob"}`)
	other := With(t.Context(), dict{"user": "bob"})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			checkDict(t, ctx, dict{"user": "bob"})
			checkText(t, other, `{"user":"bob"}`)
		})
	}
	all.Wait()
}

func BenchmarkWithText(b *testing.B) {
	text := `{"user":"7f1e9a526d3c4e8bb1a02c3d4e5f6000","is_admin":false,"roles":["admin","member"],"auth_token":"` +
		strings.Repeat("x", 200) + `","request_id":"req-b3c9a2f0-9f2b-4f7e-8a5b-0f1e2d3c4b5a","tenant":null}`
	b.SetBytes(int64(len(text)))
	for name, read := range map[string]bool{"passed on": false, "read": true} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ctx, err := WithText(context.Background(), text)
				if err != nil {
					b.Fatal(err)
				}
				if read {
					_ = Dict(ctx)
				}
			}
		})
	}
}
