package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// marker is a serializer that marks values. It records its calls with their request contexts.
type marker struct {
	dict oslorpc.RequestContext // the result for each request context

	mu    sync.Mutex
	asked []string
}

func (m *marker) note(ctx context.Context, what string, v any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, fmt.Sprintf("%s %v for %v", what, v, oslorpc.ContextFrom(ctx)["user"]))
}

func (m *marker) SerializeEntity(ctx context.Context, v any) (any, error) {
	m.note(ctx, "serialize", v)
	return fmt.Sprint("s", v), nil
}

func (m *marker) DeserializeEntity(ctx context.Context, v any) (any, error) {
	m.note(ctx, "deserialize", v)
	return fmt.Sprint("d", v), nil
}

func (m *marker) SerializeContext(ctx context.Context, dict oslorpc.RequestContext) (oslorpc.RequestContext, error) {
	m.note(ctx, "serialize context", dict)
	return m.dict, nil
}

func (m *marker) DeserializeContext(ctx context.Context, dict oslorpc.RequestContext) (oslorpc.RequestContext, error) {
	m.note(ctx, "deserialize context", dict)
	return m.dict, nil
}

// wantAsked fails unless these are all calls of the serializer, in this order.
func (m *marker) wantAsked(t *testing.T, want ...string) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Equal(m.asked, want) {
		t.Errorf("it was asked\n%s\nwant\n%s", strings.Join(m.asked, "\n"), strings.Join(want, "\n"))
	}
}

// On the client, the serializer gets each value once, with the caller's request context.
func TestSerializerOfClients(t *testing.T) {
	type test struct {
		row

		kind, result string
		asked        []string // after the arguments
	}
	each(t, "S", 2, nil, []test{
		{row{id: "S1"}, "cast", "", nil},
		{row{id: "S2"}, "call", "dd", []string{"deserialize d for bob"}},
	}, func(t *testing.T, test test) {
		synctest.Test(t, func(t *testing.T) {
			r, transport := record(t)
			r.result = `"d"`
			m := &marker{dict: oslorpc.RequestContext{"user": "alice"}}
			c := transport.Client(oslorpc.Target{Topic: topic}, oslorpc.WithSerializer(m))
			ctx, args := oslorpc.WithContext(t.Context(), bob), map[string]any{"c": "c", "a": "a", "b": "b"}
			var result string
			var err error
			if test.kind == "call" {
				result, err = oslorpc.Call[string](ctx, c, "foo", args)
			} else {
				err = send(ctx, c, test.kind, "foo", args)
			}
			if err != nil || result != test.result {
				t.Errorf("got %q, %v, want %q", result, err, test.result)
			}
			sent := single(t, r)
			wantJSON(t, "context", sent.GetContext(), `{"user": "alice"}`)
			wantJSON(t, "arguments", sent.GetKwargs(), `{"a": "sa", "b": "sb", "c": "sc"}`)
			m.wantAsked(t, append([]string{
				"serialize context map[user:bob] for bob", "serialize a for bob", "serialize b for bob", "serialize c for bob",
			}, test.asked...)...)
		})
	})
}

// On the server, the serializer gets the arguments and the result once, with the request context
// that it returned.
func TestSerializerOfServers(t *testing.T) {
	type test struct {
		row

		dict     oslorpc.RequestContext // the request context that the serializer returns
		message  message
		returns  any
		got      string // what the method gets: the arguments, and the request context
		reply    string
		sequence []string
	}
	each(t, "SS", 2, nil, []test{
		{
			row{id: "SS1"}, oslorpc.RequestContext{}, message{method: "foo", context: "{}"}, nil, "{} map[]", `"s<nil>"`,
			[]string{"deserialize context map[] for <nil>", "serialize <nil> for <nil>"},
		},
		{
			row{id: "SS2"}, oslorpc.RequestContext{"user": "alice"}, message{method: "foo", args: `{"a":"a","b":"b","c":"c"}`}, "d",
			`{"a":"da","b":"db","c":"dc"} map[user:alice]`, `"sd"`,
			[]string{
				"deserialize context map[user:bob] for bob", "deserialize a for alice", "deserialize b for alice", "deserialize c for alice",
				"serialize d for alice",
			},
		},
	}, func(t *testing.T, test test) {
		m := &marker{dict: test.dict}
		got := make(chan string, 2)
		server, err := serve(t, []oslorpc.ServerOption{oslorpc.WithSerializer(m)}, oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
			"foo": oslorpc.Func(func(ctx context.Context, args oslorpc.Raw) (any, error) {
				got <- fmt.Sprint(args, " ", oslorpc.ContextFrom(ctx))
				return test.returns, nil
			}),
		}})
		if err != nil {
			t.Fatal(err)
		}
		if reply := server.ask(t, test.message); reply.err != nil || reply.result != test.reply {
			t.Errorf("the reply is %s, %v, want %s", reply.result, reply.err, test.reply)
		}
		m.wantAsked(t, test.sequence...)
		close(got)
		var all []string
		for one := range got {
			all = append(all, one)
		}
		if !slices.Equal(all, []string{test.got}) {
			t.Errorf("the method got %q, want %q", all, test.got)
		}
	})
}
