package memory

import (
	"context"
	"errors"
	"net/url"
	"testing"
	"testing/synctest"

	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/registry/registrytest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestMain(m *testing.M) { leak.Main(m) }

func open(t *testing.T, address string) registry.Registry {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(u)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return r
}

func TestSuite(t *testing.T) {
	for _, address := range []string{"memory://", "memory://suite"} {
		t.Run(address, func(t *testing.T) {
			registrytest.Suite(t, func(t *testing.T) registry.Registry {
				t.Helper()
				return open(t, address)
			})
		})
	}
}

func TestOpenMalformed(t *testing.T) {
	for _, address := range []string{"memory:///path", "memory://name/path", "memory:name", "memory://user@name", "memory://name?x=1", "memory://name#x", "consul://name"} {
		t.Run(address, func(t *testing.T) {
			u, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = Open(u); !errors.Is(err, rpc.Invalid) {
				t.Errorf("Open: %v, want an error of kind %q", err, rpc.Invalid)
			}
		})
	}
}

func listed(t *testing.T, r registry.Registry) int {
	t.Helper()
	all, err := r.List(t.Context())
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	return len(all)
}

func TestNames(t *testing.T) {
	a, same, other, unnamed := open(t, "memory://a"), open(t, "memory://a"), open(t, "memory://b"), open(t, "memory://")
	if err := a.Publish(t.Context(), []rpc.Instance{{ID: "1", Topic: "compute"}}); err != nil {
		t.Fatal(err)
	}
	if got := []int{listed(t, same), listed(t, other), listed(t, unnamed)}; got[0] != 1 || got[1] != 0 || got[2] != 0 {
		t.Errorf("handles of the same name, another and none list %v instances, want 1, 0, 0", got)
	}
}

// TestWithoutPolling stops the clock: nothing that waits for time would happen.
func TestWithoutPolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := open(t, "memory://"+t.Name()), open(t, "memory://"+t.Name())
		var updates int
		stop := b.Watch(registry.Topic{Name: "compute"}, func(registry.Update) { updates++ })
		defer stop()
		synctest.Wait()
		if err := a.Publish(t.Context(), []rpc.Instance{{ID: "1", Topic: "compute"}}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if updates != 2 {
			t.Errorf("%d updates, want 2", updates)
		}
	})
}

func TestClosed(t *testing.T) {
	r := open(t, "memory://"+t.Name())
	for range 2 {
		if err := r.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if err := r.Publish(t.Context(), []rpc.Instance{{ID: "1"}}); !errors.Is(err, rpc.Invalid) {
		t.Errorf("Publish after Close: %v, want an error of kind %q", err, rpc.Invalid)
	}
	r.Watch(registry.Topic{}, func(registry.Update) { t.Error("an update after Close") })()
	if hubs[t.Name()] != nil {
		t.Error("the registry is still there after its last handle was closed")
	}
}
