package oslorpctest_test

import (
	"context"
	"iter"
	"testing"
	"testing/synctest"

	"github.com/oslorpc/oslorpc/internal/anycarrier"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

func TestMain(m *testing.M) { anycarrier.Main(m) }

// both runs a test in real time and in faked time.
func both(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Run("real", test)
	t.Run("faked", func(t *testing.T) { synctest.Test(t, test) })
}

var agents = oslorpc.Target{Topic: "agents", Version: "1.2"}

// agent is an endpoint with a method of each shape.
type agent string

func (a agent) Whoami(context.Context) (string, error) { return string(a), nil }

type number struct {
	N int `json:"n"`
}

func (a agent) Note(context.Context, number) error { return nil }

func (a agent) Count(_ context.Context, args number) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for n := range args.N {
			if !yield(n, nil) {
				return
			}
		}
	}
}

// Hang returns when its context ends.
func (a agent) Hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func serve(f *oslorpctest.Fleet, name string, options ...oslorpc.ServerOption) *oslorpctest.Server {
	return f.Serve(oslorpc.Target{Topic: "agents", Server: name},
		[]oslorpc.Endpoint{{Version: "1.2", Struct: oslorpc.Methods(agent(name))}}, options...)
}

func whoami(t *testing.T, c *oslorpc.Client) (string, error) {
	t.Helper()
	return oslorpc.Call[string](t.Context(), c, "whoami", nil)
}

func wantWhoami(t *testing.T, c *oslorpc.Client, want string) {
	t.Helper()
	if got, err := whoami(t, c); got != want || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func wantKind(t *testing.T, err error, want oslorpc.Kind) {
	t.Helper()
	if oslorpc.KindOf(err) != want {
		t.Errorf("got %v, want an error of kind %v", err, want)
	}
}

func wantNotDelivered(t *testing.T, err error) {
	t.Helper()
	if !oslorpc.IsNotDelivered(err) {
		t.Errorf("got %v, want an error that says that it was not delivered", err)
	}
}

// outstanding starts a call that waits in a server's queue, and returns a channel for the error of
// the call.
func outstanding(t *testing.T, f *oslorpctest.Fleet, c *oslorpc.Client, method string) <-chan error {
	t.Helper()
	ended := make(chan error, 1)
	before := len(f.Messages(oslorpctest.For(method)))
	go func() {
		_, err := oslorpc.Call[any](context.Background(), c, method, nil)
		ended <- err
	}()
	f.Await(before+1, oslorpctest.For(method))
	return ended
}
