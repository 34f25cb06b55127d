package oslorpc_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// recorder is a serializer that marks texts and records its calls.
type recorder struct {
	mu    sync.Mutex
	asked []string
}

func (r *recorder) note(what string, ctx context.Context, v any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, fmt.Sprintf("%s %v by %v", what, v, oslorpc.ContextFrom(ctx)["user"]))
}

func (r *recorder) SerializeEntity(ctx context.Context, v any) (any, error) {
	r.note("serialize", ctx, v)
	return fmt.Sprint("s", v), nil
}

func (r *recorder) DeserializeEntity(ctx context.Context, v any) (any, error) {
	r.note("deserialize", ctx, v)
	return fmt.Sprint("d", v), nil
}

func (r *recorder) SerializeContext(ctx context.Context, dict oslorpc.RequestContext) (oslorpc.RequestContext, error) {
	r.note("serialize context", ctx, dict)
	dict = maps.Clone(dict)
	dict["user"] = "alice"
	return dict, nil
}

func (r *recorder) DeserializeContext(ctx context.Context, dict oslorpc.RequestContext) (oslorpc.RequestContext, error) {
	r.note("deserialize context", ctx, dict)
	dict = maps.Clone(dict)
	dict["user"] = fmt.Sprint(dict["user"], " here")
	return dict, nil
}

func (r *recorder) want(t *testing.T, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.asked, want) {
		t.Errorf("it was asked\n%s\nwant\n%s", strings.Join(r.asked, "\n"), strings.Join(want, "\n"))
	}
	r.asked = nil
}

type letters struct {
	C string `json:"c"`
	A string `json:"a"`
	B string `json:"b"`
}

// serveLetters serves methods that return their arguments and the request context.
func serveLetters(t *testing.T, options ...oslorpc.ServerOption) {
	t.Helper()
	s := open(t).Server(oslorpc.Target{Topic: t.Name(), Server: "node1"}, options...)
	s.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"join": oslorpc.Func(func(ctx context.Context, l letters) (string, error) {
			return fmt.Sprint(l.A, l.B, l.C, " ", oslorpc.ContextFrom(ctx)["user"]), nil
		}),
		"nothing": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (any, error) { return nil, nil }),
		"each": oslorpc.Stream(func(_ context.Context, l letters) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) { _ = yield(l.A, nil) && yield(l.B, nil) }
		}),
	}})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

var abc = letters{A: "a", B: "b", C: "c"}

func bob(t *testing.T) context.Context {
	t.Helper()
	return oslorpc.WithContext(t.Context(), oslorpc.RequestContext{"user": "bob"})
}

func TestSerializerOfAClient(t *testing.T) {
	serveLetters(t)
	r := &recorder{}
	c := open(t).Client(oslorpc.Target{Topic: t.Name()}, oslorpc.WithSerializer(r))
	sent := []string{"serialize context map[user:bob] by bob", "serialize a by bob", "serialize b by bob", "serialize c by bob"}

	if got, err := oslorpc.Call[string](bob(t), c, "join", abc); got != "dsasbsc alice" || err != nil {
		t.Errorf("call: %q, %v", got, err)
	}
	r.want(t, append(sent, "deserialize sasbsc alice by bob")...)

	if err := c.Cast(bob(t), "join", abc); err != nil {
		t.Error(err)
	}
	r.want(t, sent...)

	if _, err := c.Fanout(bob(t), "join", abc); err != nil {
		t.Error(err)
	}
	r.want(t, sent...)

	var items []string
	for item, err := range oslorpc.Multicall[string](bob(t), c, "each", abc) {
		items = append(items, fmt.Sprint(item, err))
	}
	if want := []string{"dsa<nil>", "dsb<nil>"}; !slices.Equal(items, want) {
		t.Errorf("multicall: %q", items)
	}
	r.want(t, append(sent, "deserialize sa by bob", "deserialize sb by bob")...)

	if got, err := oslorpc.Call[string](t.Context(), c, "nothing", nil); got != "d<nil>" || err != nil {
		t.Errorf("nothing: %q, %v", got, err)
	}
	r.want(t, "serialize context map[] by <nil>", "deserialize <nil> by <nil>")

	if got, err := oslorpc.Call[string](bob(t), c.Prepare(oslorpc.WithSerializer(nil)), "join", abc); got != "abc bob" || err != nil {
		t.Errorf("without it: %q, %v", got, err)
	}
	r.want(t)
}

func TestSerializerOfAServer(t *testing.T) {
	r := &recorder{}
	serveLetters(t, oslorpc.WithSerializer(r))
	c := open(t).Client(oslorpc.Target{Topic: t.Name()})
	received := []string{
		"deserialize context map[user:bob] by bob", "deserialize a by bob here", "deserialize b by bob here", "deserialize c by bob here",
	}
	if got, err := oslorpc.Call[string](bob(t), c, "join", abc); got != "sdadbdc bob here" || err != nil {
		t.Errorf("call: %q, %v", got, err)
	}
	r.want(t, append(received, "serialize dadbdc bob here by bob here")...)

	if got, err := oslorpc.Call[string](bob(t), c, "each", abc); got != "sdb" || err != nil {
		t.Errorf("call of a stream: %q, %v", got, err)
	}
	r.want(t, append(received, "serialize da by bob here", "serialize db by bob here")...)

	if got, err := oslorpc.Call[string](t.Context(), c, "nothing", nil); got != "s<nil>" || err != nil {
		t.Errorf("nothing: %q, %v", got, err)
	}
	r.want(t, "deserialize context map[] by <nil>", "serialize <nil> by <nil> here")
}

// Numbers pass through a serializer without loss of precision.
func TestSerializersKeepValuesExact(t *testing.T) {
	s := open(t).Server(oslorpc.Target{Topic: t.Name(), Server: "node1"}, oslorpc.WithSerializer(oslorpc.NoSerializer{}))
	s.Add(newAgent("node1").endpoint("1.0"))
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := open(t).Client(oslorpc.Target{Topic: t.Name()}, oslorpc.WithSerializer(oslorpc.NoSerializer{}))
	sent := oslorpc.Raw(`{"beyond":9007199254740993,"float":1.0,"huge":123456789012345678901234567890,"list":[null,true,"x"]}`)
	if got, err := oslorpc.Call[oslorpc.Raw](t.Context(), c, "echo", sent); got != sent || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
	ctx := oslorpc.WithContext(t.Context(), oslorpc.RequestContext{"n": int64(1<<53 + 1)})
	if got, err := oslorpc.Call[oslorpc.RequestContext](ctx, c, "context", nil); !reflect.DeepEqual(got, oslorpc.ContextFrom(ctx)) || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

var errSerializer = errors.New("cannot")

// faulty is a serializer with one operation that fails or panics.
type faulty struct {
	oslorpc.NoSerializer
	operation string
	panics    bool
	with      any
}

func (f faulty) do(operation string, v any) (any, error) {
	switch {
	case f.operation != operation:
		return v, nil
	case f.panics:
		panic("ouch")
	case f.with != nil:
		return f.with, nil
	default:
		return nil, errSerializer
	}
}

func (f faulty) SerializeEntity(_ context.Context, v any) (any, error) { return f.do("serialize", v) }

func (f faulty) DeserializeEntity(_ context.Context, v any) (any, error) {
	return f.do("deserialize", v)
}

func (f faulty) SerializeContext(_ context.Context, dict oslorpc.RequestContext) (oslorpc.RequestContext, error) {
	_, err := f.do("serialize context", nil)
	return dict, err
}

func (f faulty) DeserializeContext(_ context.Context, dict oslorpc.RequestContext) (oslorpc.RequestContext, error) {
	_, err := f.do("deserialize context", nil)
	return dict, err
}

func TestFailuresOfSerializers(t *testing.T) {
	for name, test := range map[string]struct {
		client, server oslorpc.Serializer
		kind           oslorpc.Kind
		safe, ours     bool // the serializer's error is the cause
		path           string
	}{
		"client's argument":          {client: faulty{operation: "serialize"}, kind: oslorpc.BadArguments, safe: true, ours: true, path: "/a"},
		"client's argument, no JSON": {client: faulty{operation: "serialize", with: func() {}}, kind: oslorpc.BadArguments, safe: true, path: "/a"},
		"client's context":           {client: faulty{operation: "serialize context"}, kind: oslorpc.BadArguments, safe: true, ours: true},
		"client's result":            {client: faulty{operation: "deserialize"}, kind: oslorpc.BadResult, ours: true},
		"client's result, no text":   {client: faulty{operation: "deserialize", with: 7}, kind: oslorpc.BadResult},
		"server's argument":          {server: faulty{operation: "deserialize"}, kind: oslorpc.BadArguments, safe: true, path: "/a"},
		"server's argument, no text": {server: faulty{operation: "deserialize", with: 7}, kind: oslorpc.BadArguments, safe: true, path: "/a"},
		"server's context":           {server: faulty{operation: "deserialize context"}, kind: oslorpc.BadArguments, safe: true},
		"server's result":            {server: faulty{operation: "serialize"}, kind: oslorpc.BadResult},
		"server's result, no JSON":   {server: faulty{operation: "serialize", with: func() {}}, kind: oslorpc.BadResult},
		"server's argument panics":   {server: faulty{operation: "deserialize", panics: true}, kind: oslorpc.Remote},
		"server's result panics":     {server: faulty{operation: "serialize", panics: true}, kind: oslorpc.Remote},
	} {
		t.Run(name, func(t *testing.T) {
			serveLetters(t, oslorpc.WithSerializer(test.server))
			c := open(t).Client(oslorpc.Target{Topic: t.Name()}, oslorpc.WithSerializer(test.client))
			_, err := oslorpc.Call[string](bob(t), c, "join", abc)
			wantKind(t, err, test.kind, test.safe)
			if e, _ := errors.AsType[*oslorpc.Error](err); e.Path != test.path || e.Method != "join" || errors.Is(err, errSerializer) != test.ours {
				t.Errorf("got %#v", e)
			}
		})
	}
}
