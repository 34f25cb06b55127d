package registry_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// nothing is an empty registry.
type nothing struct{ registry.Registry }

func (nothing) Close(context.Context) error { return nil }

func open(t *testing.T, url string) (registry.Registry, error) {
	t.Helper()
	r, err := registry.Open(url, registry.Config{Exchange: "e"})
	var typed *rpc.Error
	if err != nil && (!errors.As(err, &typed) || typed.Kind != rpc.Invalid || !typed.NotStarted) {
		t.Errorf("Open(%q): %#v is not a safe error of kind %s", url, err, rpc.Invalid)
	}
	return r, err
}

func TestOpenPassesURLAndConfig(t *testing.T) {
	var got string
	var config registry.Config
	registry.Register("test-opened", func(url string, c registry.Config) (registry.Registry, error) {
		got, config = url, c
		return nothing{}, nil
	})
	if r, err := open(t, "Test-Opened://Host,[::1]:2/Path?x=Y"); err != nil || r != (nothing{}) {
		t.Fatalf("Open: %v, %v", r, err)
	}
	if want := "test-opened://Host,[::1]:2/Path?x=Y"; got != want {
		t.Errorf("the registry got %q, want %q", got, want)
	}
	if config.Exchange != "e" || config.Log != slog.Default() {
		t.Errorf("the registry got %+v", config)
	}
	if !slices.Contains(registry.Schemes(), "test-opened") || !slices.IsSorted(registry.Schemes()) {
		t.Errorf("the schemes are %q", registry.Schemes())
	}
}

func TestOpenErrors(t *testing.T) {
	typed := &rpc.Error{Kind: rpc.Invalid, NotStarted: true, Message: "no such place"}
	registry.Register("test-typed", func(string, registry.Config) (registry.Registry, error) { return nil, typed })
	registry.Register("test-plain", func(string, registry.Config) (registry.Registry, error) { return nil, context.Canceled })
	registry.Register("test-nil", func(string, registry.Config) (registry.Registry, error) { return nil, nil })
	for url, want := range map[string]string{
		"test-typed://":        "no such place",
		"test-plain://":        "transport URL with test-plain://: context canceled",
		"test-nil://":          "neither a registry nor an error",
		"localhost:8500":       "has no scheme",
		"etcd://host":          "a registry of another kind is a package to import",
		"ETCD://secret@host":   `unknown scheme "etcd"`,
		"consul://secret@host": `consul:// needs import _ "github.com/oslorpc/oslorpc/pkg/registry/consul"`,
		"rabbit://u:secret@h":  "there is no broker; write consul://host:8500 where rabbit:// was",
		"kombu+memory://":      "there is no broker",
		"test-plain:x":         "has no scheme",
	} {
		_, err := open(t, url)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("Open(%q): %v\nwant %q", url, err, want)
		}
	}
	if _, err := open(t, "test-typed://"); err != typed { //nolint:errorlint // it must be the very error
		t.Errorf("the registry's own error became %v", err)
	}
	if _, err := open(t, "test-plain://"); !errors.Is(err, context.Canceled) {
		t.Errorf("the cause is gone from %v", err)
	}
}

func TestRegisterRefuses(t *testing.T) {
	opener := func(string, registry.Config) (registry.Registry, error) { return nothing{}, nil }
	registry.Register("test-twice", opener)
	for scheme, open := range map[string]registry.Opener{
		"test-twice": opener, "": opener, "Upper": opener, "9x": opener, "a://": opener, "a b": opener, "test-none": nil,
	} {
		t.Run(scheme, func(t *testing.T) {
			defer func() {
				if text, is := recover().(string); !is || !strings.HasPrefix(text, "registry: Register of ") {
					t.Errorf("Register(%q) did not panic, or with %q", scheme, text)
				}
			}()
			registry.Register(scheme, open)
		})
	}
}
