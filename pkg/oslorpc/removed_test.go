package oslorpc_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// The directory of a local registry also contains the sockets. A server whose directory is removed
// can be reached again, by connected clients and by new clients.
func TestServerOutlivesTheDirectoryOfItsSocket(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "registry")
	quiet := []oslorpc.TransportOption{oslorpc.WithStopGrace(0), oslorpc.WithLogger(slog.New(slog.DiscardHandler))}
	s := serveOn(t, openAt(t, "local://"+dir, quiet...), oslorpc.Target{Topic: "agents", Server: "node1"}, newAgent("node1").endpoint("1.0"))
	call := func(when string, transport *oslorpc.Transport) {
		c := transport.Client(oslorpc.Target{Topic: "agents"}, oslorpc.WithTimeout(20*time.Second))
		if _, err := oslorpc.Call[any](t.Context(), c, "add", sum{1, oslorpc.Some[int64](2)}); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	early := openAt(t, "local://"+dir, quiet...)
	call("before", early)
	for range 2 {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		call("a client that is connected", early)
		call("a new client", openAt(t, "local://"+dir, quiet...))
	}
	must(t, s.Stop(t.Context()))
	if left, err := filepath.Glob(dir + "/*"); err != nil || len(left) != 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}
