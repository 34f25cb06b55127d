package oslorpc_test

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/anycarrier"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	_ "github.com/oslorpc/oslorpc/pkg/registry/consul" // for consul:// URLs
)

func TestMain(m *testing.M) { anycarrier.Main(m) }

// url returns the registry URL of a test, which its subtests share.
func url(t *testing.T) string {
	t.Helper()
	test, _, _ := strings.Cut(t.Name(), "/")
	return "memory://" + test
}

// open opens a transport that is closed at the end of the test.
func open(t *testing.T, options ...oslorpc.TransportOption) *oslorpc.Transport {
	t.Helper()
	options = append([]oslorpc.TransportOption{
		oslorpc.WithStopGrace(0), oslorpc.WithLogger(slog.New(slog.DiscardHandler)),
	}, options...)
	transport, err := oslorpc.Open(url(t), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := transport.Close(); err != nil {
			t.Error(err)
		}
	})
	return transport
}

// serve starts a server on a separate transport, like another process.
func serve(t *testing.T, name string, endpoints ...oslorpc.Endpoint) *oslorpc.Server {
	t.Helper()
	return serveOn(t, open(t), oslorpc.Target{Topic: "agents", Server: name}, endpoints...)
}

func serveOn(t *testing.T, transport *oslorpc.Transport, target oslorpc.Target, endpoints ...oslorpc.Endpoint) *oslorpc.Server {
	t.Helper()
	s := transport.Server(target)
	s.Add(endpoints...)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// client returns a client of the topic that serve serves. The client has a short timeout.
func client(t *testing.T, options ...oslorpc.ClientOption) *oslorpc.Client {
	t.Helper()
	options = append([]oslorpc.ClientOption{oslorpc.WithTimeout(10 * time.Second)}, options...)
	return open(t).Client(oslorpc.Target{Topic: "agents"}, options...)
}

// agent is an endpoint with a method of each shape.
type agent struct {
	name  string
	casts *atomic.Int64
}

func newAgent(name string) agent { return agent{name: name, casts: &atomic.Int64{}} }

func (a agent) endpoint(version string) oslorpc.Endpoint {
	return oslorpc.Endpoint{Version: version, Struct: oslorpc.Methods(a)}
}

type sum struct {
	A int64              `json:"a"`
	B oslorpc.Opt[int64] `json:"b"`
}

func (a agent) Add(_ context.Context, s sum) (int64, error) { return s.A + s.B.Or(0), nil }

func (a agent) Whoami(context.Context) (string, error) { return a.name, nil }

func (a agent) Note(context.Context) error {
	a.casts.Add(1)
	return nil
}

type everything struct{ oslorpc.Extra }

func (a agent) Echo(_ context.Context, all everything) (oslorpc.Extra, error) { return all.Extra, nil }

func (a agent) Context(ctx context.Context) (oslorpc.RequestContext, error) {
	return oslorpc.ContextFrom(ctx), nil
}

// Asked returns what the message asked for.
func (a agent) Asked(ctx context.Context) (asked, error) {
	m := oslorpc.MessageFrom(ctx)
	return asked{m.Server, m.Target.Namespace, m.Target.Version, m.Method, m.ID, m.Caller}, nil
}

// asked holds some properties of a message.
type asked struct{ Server, Namespace, Version, Method, ID, Caller string }

var errBroken = errors.New("broken")

func (a agent) Fail(context.Context) error { return errBroken }

func (a agent) Panic(context.Context) error { panic("ouch") }

func (a agent) Unserialisable(context.Context) (any, error) { return func() {}, nil }

// Hang returns when its caller gives up.
func (a agent) Hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

type limit struct {
	N int `json:"n"`
}

// Count yields 1 to n. If n is negative, it yields -n items and then an error.
func (a agent) Count(_ context.Context, l limit) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for n := 1; n <= max(l.N, -l.N); n++ {
			if !yield(n, nil) {
				return
			}
		}
		if l.N < 0 {
			yield(0, errBroken)
		}
	}
}

type size struct {
	Bytes int `json:"bytes"`
}

func (a agent) Large(_ context.Context, s size) (string, error) {
	return strings.Repeat("x", s.Bytes), nil
}

// NotAMethod does not have the shape of an RPC method.
func (a agent) NotAMethod(int) {}

// wantKind fails unless err has the given kind, and is safe to retry or not as given.
func wantKind(t *testing.T, err error, kind oslorpc.Kind, safe bool) {
	t.Helper()
	if got := oslorpc.KindOf(err); got != kind || oslorpc.SafeToRetry(err) != safe {
		t.Errorf("got %v (%s, safe to retry: %v), want %s, %v", err, got, oslorpc.SafeToRetry(err), kind, safe)
	}
}

// wantText fails unless the text of the error contains all parts.
func wantText(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the error %q does not say %q", err, part)
		}
	}
}
