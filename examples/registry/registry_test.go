package registry

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/registry/registrytest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestSuite(t *testing.T) {
	dir := t.TempDir()
	registrytest.Suite(t, func(t *testing.T) registry.Registry {
		t.Helper()
		r, err := registry.Open("shared://"+dir, registry.Config{})
		if err != nil {
			t.Fatal(err)
		}
		return r
	})
}

// A program needs only the import and the URL.
func TestProgram(t *testing.T) {
	url := "shared://" + t.TempDir()
	open := func() *oslorpc.Transport {
		transport, err := oslorpc.Open(url, oslorpc.WithStopGrace(0), oslorpc.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = transport.Close() })
		return transport
	}
	s := open().Server(oslorpc.Target{Topic: "demo", Server: "node1"})
	s.Add(oslorpc.Endpoint{Version: "1.0", Methods: map[string]oslorpc.Method{
		"hello": oslorpc.Func(func(context.Context, struct{}) (string, error) { return "from node1", nil }),
	}})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := oslorpc.Call[string](t.Context(), open().Client(oslorpc.Target{Topic: "demo"}), "hello", nil)
	if err != nil || got != "from node1" {
		t.Errorf("%q, %v", got, err)
	}
}

// Files of a dead process do not count, and a file of another program does not hide registrations.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	r, err := registry.Open("shared://"+dir, registry.Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(context.Background())
	i := rpc.Instance{ID: "b.1", BootID: "b", Exchange: "e", Topic: "t", Server: "s", Addr: "127.0.0.1:1"}
	if err := r.Publish(t.Context(), []rpc.Instance{i}); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"dead.json": `[{"ID": "dead.1", "Exchange": "e", "Topic": "t"}]`, "broken.json": `{`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-2 * lifetime)
	if err := os.Chtimes(filepath.Join(dir, "dead.json"), old, old); err != nil {
		t.Fatal(err)
	}
	list, err := r.List(t.Context())
	if err != nil || len(list) != 1 || !list[0].Equal(i) {
		t.Errorf("%+v, %v", list, err)
	}
}

// While the directory is missing, watches report an error. When the directory is back, the
// registrations are published again.
func TestDirectoryIsAway(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "fleet")
	r, err := registry.Open("shared://"+dir, registry.Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(context.Background())
	i := rpc.Instance{ID: "b.1", BootID: "b", Exchange: "e", Topic: "t", Server: "s", Addr: "127.0.0.1:1"}
	if err := r.Publish(t.Context(), []rpc.Instance{i}); err != nil {
		t.Fatal(err)
	}
	updates := make(chan registry.Update, 100)
	defer r.Watch(registry.Topic{Exchange: "e", Name: "t"}, func(u registry.Update) { updates <- u })()
	if u := <-updates; u.Err != nil || len(u.Instances) != 1 {
		t.Errorf("%+v", u)
	}
	if err := os.Rename(dir, dir+"-away"); err != nil {
		t.Fatal(err)
	}
	if u := <-updates; u.Err == nil {
		t.Errorf("%+v is no error", u)
	}
	if err := os.Rename(dir+"-away", dir); err != nil {
		t.Fatal(err)
	}
	if u := <-updates; u.Err != nil || len(u.Instances) != 1 {
		t.Errorf("%+v", u)
	}
}

func TestMalformedURL(t *testing.T) {
	for _, url := range []string{"shared://host/dir", "shared://", "shared:///dir?x=1", "shared://u:p@/dir"} {
		if r, err := registry.Open(url, registry.Config{}); err == nil {
			t.Errorf("%s: opened %v", url, r)
		}
	}
}
