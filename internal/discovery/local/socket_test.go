//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package local

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// privateDir returns a directory with a path that is short enough for sockets.
func privateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// abandon leaves a socket on which no process listens.
func abandon(t *testing.T, path string, age time.Duration) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = l.Close()
	then := time.Now().Add(-age)
	if err := os.Chtimes(path, then, then); err != nil {
		t.Fatal(err)
	}
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestSocketPaths(t *testing.T) {
	dir := privateDir(t)
	r, err := Open(&url.URL{Scheme: "local", Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(t.Context())
	seen := map[string]bool{}
	for range 100 {
		path, err := r.(registry.Private).Socket()
		if err != nil || filepath.Dir(path) != dir || !isSocket(filepath.Base(path)) || seen[path] {
			t.Fatalf("got %q, %v", path, err)
		}
		seen[path] = true
	}
}

func TestSocketPathThatIsTooLong(t *testing.T) {
	r := &handle{scanner: newScanner("/" + strings.Repeat("x", maxSocketPath))}
	if _, err := r.Socket(); err == nil || !strings.Contains(err.Error(), "shorter path, or listen on an address such as 127.0.0.1:0") {
		t.Errorf("got %v", err)
	}
}

// A process that died before it published anything leaves a socket, which is removed. Nothing else
// is removed.
func TestOpenRemovesAbandonedSockets(t *testing.T) {
	dir := privateDir(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	abandon(t, at("00000001.sock"), time.Hour)
	abandon(t, at("00000002.sock"), 0) // its process may be about to listen
	abandon(t, at("mine.sock"), time.Hour)
	live, err := net.Listen("unix", at("00000003.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(at("00000003.sock"), old, old); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("00000004.sock"), nil, 0o600); err != nil { // no socket
		t.Fatal(err)
	}
	r, err := Open(&url.URL{Scheme: "local", Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(t.Context())
	for name, want := range map[string]bool{
		"00000001.sock": false, "00000002.sock": true, "mine.sock": true, "00000003.sock": true, "00000004.sock": true,
	} {
		if isThere(at(name)) != want {
			t.Errorf("%s is there: %v, want %v", name, !want, want)
		}
	}
}

// The sockets of a dead process are removed with its file, except for sockets that are elsewhere or
// not ours.
func TestSocketsOfTheDeadAreRemoved(t *testing.T) {
	dir, elsewhere := privateDir(t), privateDir(t)
	ours, foreign, named := filepath.Join(dir, "00000001.sock"), filepath.Join(elsewhere, "00000001.sock"), filepath.Join(dir, "app.sock")
	for _, path := range []string{ours, foreign, named} {
		abandon(t, path, 0)
	}
	removeSockets(dir, []rpc.Instance{{Addr: "unix:" + ours}, {Addr: "unix:" + foreign}, {Addr: "unix:" + named}, {Addr: "127.0.0.1:1"}})
	if isThere(ours) || !isThere(foreign) || !isThere(named) {
		t.Errorf("there are: ours %v, foreign %v, named %v", isThere(ours), isThere(foreign), isThere(named))
	}
}
