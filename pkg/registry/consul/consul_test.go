package consul_test

import (
	"context"
	"errors"
	"testing"

	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/pkg/registry"
	_ "github.com/oslorpc/oslorpc/pkg/registry/consul"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestMain(m *testing.M) { leak.Main(m) }

// A registry that is missing is a nil interface, and not an interface that holds a nil pointer.
func TestMalformed(t *testing.T) {
	r, err := registry.Open("consul://host?unknown=1", registry.Config{})
	if r != nil || !errors.Is(err, rpc.Invalid) {
		t.Errorf("Open: %v, %v", r, err)
	}
}

func TestClose(t *testing.T) {
	r, err := registry.Open("CONSUL://127.0.0.1:1", registry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(context.Background()); err != nil {
		t.Error(err)
	}
}
