package host

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/anycarrier"
	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/security"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestMain(m *testing.M) { anycarrier.Main(m) }

var errAway = errors.New("the registry is away")

// handle is a registry that records the published lists. It fails as often as the test wants.
type handle struct {
	registry.Registry

	published chan []rpc.Instance // has room for all that a test publishes
	failures  chan error          // the next Publish returns one, if there is one
}

func newHandle() *handle {
	return &handle{published: make(chan []rpc.Instance, 1000), failures: make(chan error, 10)}
}

// Publish implements [registry.Registry].
func (r *handle) Publish(_ context.Context, list []rpc.Instance) error {
	select {
	case err := <-r.failures:
		return err
	default:
		r.published <- list
		return nil
	}
}

// newHost returns a host on the loopback interface that ends with the test.
func newHost(t *testing.T, r *handle) *Host {
	t.Helper()
	h := New(Config{
		Exchange: "nova", Listen: "127.0.0.1:0", Trust: &security.Trust{}, Limits: rpc.Limits{MessageSize: 1 << 20}.WithDefaults(),
		Log: slog.New(slog.DiscardHandler), Registry: r,
	})
	t.Cleanup(func() {
		h.Close()
		if err := h.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		h.End()
	})
	return h
}

// newServer returns a server without methods that is not running.
func newServer(h *Host, name string, change func(*ServerConfig)) *Server {
	c := ServerConfig{Target: rpc.Target{Topic: "compute", Server: name}, Limits: dispatch.DefaultLimits, Executor: Pool}
	change(&c)
	return h.Server(c)
}

func unchanged(*ServerConfig) {}

// states returns the next published list as "server state".
func states(t *testing.T, r *handle) []string {
	t.Helper()
	select {
	case list := <-r.published:
		words := []string{}
		for _, i := range list {
			words = append(words, i.Server+" "+string(i.State))
		}
		return words
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was published")
		return nil
	}
}
