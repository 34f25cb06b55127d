package dispatch

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/internal/phase"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestMain(m *testing.M) { leak.Main(m) }

// version parses a version. Empty text means the version of a message without one.
func version(text string) rpc.Version {
	v, err := rpc.VersionOrDefault(text)
	if err != nil {
		panic(err)
	}
	return v
}

// offers returns an endpoint whose methods return null. The namespace "-" is the null namespace. An
// endpoint without namespaces is also in the null namespace.
func offers(v string, namespaces []string, methods ...string) Endpoint {
	e := Endpoint{Version: version(v), Methods: map[string]*Method{}}
	for _, ns := range namespaces {
		e.Namespaces = append(e.Namespaces, strings.TrimPrefix(ns, "-"))
	}
	if len(namespaces) == 0 {
		e.Namespaces = []string{""}
	}
	for _, name := range methods {
		e.Methods[name] = returns("null")
	}
	return e
}

// plain returns a method that accepts any arguments.
func plain(f Invocation) *Method {
	return &Method{Bind: func(string) (Invocation, error) { return f, nil }}
}

func returns(item string) *Method {
	return plain(func(_ context.Context, emit Emit) error { return emit(item) })
}

func fails(err error) *Method {
	return plain(func(context.Context, Emit) error { return &MethodError{Err: err} })
}

// echo returns its arguments.
func echo() *Method {
	return &Method{Bind: func(kwargs string) (Invocation, error) {
		return func(_ context.Context, emit Emit) error { return emit(kwargs) }, nil
	}}
}

// gate is a method that waits until the test lets it continue.
type gate struct {
	entered chan *rpc.Message // one entry a message that runs
	open    chan struct{}     // closed to let all through, or sent to once for each
}

func newGate() *gate {
	return &gate{entered: make(chan *rpc.Message, 10_000), open: make(chan struct{})}
}

func (g *gate) method() *Method {
	return plain(func(ctx context.Context, emit Emit) error {
		info := MessageFrom(ctx)
		g.entered <- info
		select {
		case <-g.open:
			return emit(`"` + info.ID + `"`)
		case <-ctx.Done():
			return &MethodError{Err: ctx.Err()}
		}
	})
}

func newServer(tb testing.TB, limits Limits, methods map[string]*Method) *Dispatcher {
	tb.Helper()
	return newLoggedServer(tb, limits, methods, slog.New(slog.DiscardHandler))
}

// newLoggedServer returns a server with the methods in the default namespace at version 1.0. It is
// stopped at the end of the test.
func newLoggedServer(tb testing.TB, limits Limits, methods map[string]*Method, log *slog.Logger) *Dispatcher {
	tb.Helper()
	table := NewTable([]Endpoint{{Namespaces: []string{""}, Version: rpc.DefaultVersion, Methods: methods}})
	s := New(Config{Name: "net1", Table: table, Limits: limits, Phase: phase.Opened(), Log: log})
	tb.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			tb.Error(err)
		}
		if load := s.Load(); load.Running != 0 || load.Queued != 0 {
			tb.Errorf("after the stop there is %+v", load)
		}
	})
	return s
}

func newLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// request returns a request for a method. The ID may be empty.
func request(method, id string) *Request {
	return &Request{Method: method, Version: rpc.DefaultVersion, Kwargs: "{}", ID: id}
}

// call runs a message and returns the items that it emits.
func call(ctx context.Context, s *Dispatcher, r *Request) (items []string, err error) {
	err = s.Call(ctx, r, func(item string) error {
		items = append(items, item)
		return nil
	})
	return items, err
}

// started calls a method on a separate goroutine and returns a channel for its error.
func started(ctx context.Context, s *Dispatcher, r *Request) <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := call(ctx, s, r)
		ended <- err
	}()
	return ended
}

// check fails the test unless err is an *rpc.Error with this kind and NotStarted, and its message
// contains all parts.
func check(t *testing.T, err error, kind rpc.Kind, notStarted bool, parts ...string) *rpc.Error {
	t.Helper()
	e, ok := err.(*rpc.Error) //nolint:errorlint // It must not be wrapped: the carrier adds to it.
	if !ok {
		t.Fatalf("want an *rpc.Error, got %T: %v", err, err)
	}
	if e.Kind != kind || e.NotStarted != notStarted {
		t.Errorf("want %s with NotStarted %v, got %s with %v: %v", kind.Name(), notStarted, e.Kind.Name(), e.NotStarted, e)
	}
	for _, part := range parts {
		if !strings.Contains(e.Message, part) {
			t.Errorf("the message lacks %q: %s", part, e.Message)
		}
	}
	return e
}

// remote returns the remote error in err.
func remote(t *testing.T, err error) *rpc.RemoteError {
	t.Helper()
	check(t, err, rpc.Remote, false)
	var r *rpc.RemoteError
	if !errors.As(err, &r) {
		t.Fatalf("there is no remote error in %v", err)
	}
	return r
}

// counts returns how often a method was started and how often it failed.
func counts(s *Dispatcher, method string) (started, failed int64) {
	s.Table().Endpoints(func(_ Endpoint, counters map[string]*Counters) {
		if c := counters[method]; c != nil {
			started, failed = started+c.Started.Load(), failed+c.Failed.Load()
		}
	})
	return started, failed
}

func same[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
