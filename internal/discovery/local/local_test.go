//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package local

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/registry/registrytest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// patience limits waiting for things that must happen. Only a failure takes so long.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperDir); dir != "" {
		helper(dir)
		return
	}
	leak.Main(m)
}

func newDir(tb testing.TB) string {
	tb.Helper()
	return filepath.Join(tb.TempDir(), "registry")
}

func openAt(t *testing.T, dir string) *handle {
	t.Helper()
	r, err := Open(parse(t, "local://"+dir))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return r.(*handle)
}

func instance(id string) rpc.Instance {
	return rpc.Instance{ID: id, BootID: "boot-" + id, Exchange: "openstack", Topic: "compute", Server: id, State: rpc.StateActive}
}

func publish(t *testing.T, r *handle, instances ...rpc.Instance) {
	t.Helper()
	if err := r.Publish(t.Context(), instances); err != nil {
		t.Fatalf("Publish: %v", err)
	}
}

// ids returns the IDs of all instances, sorted.
func ids(t *testing.T, r *handle) []string {
	t.Helper()
	all, err := r.List(t.Context())
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	return idsOf(all)
}

func idsOf(instances []rpc.Instance) []string {
	ids := make([]string, len(instances))
	for n, i := range instances {
		ids[n] = i.ID
	}
	slices.Sort(ids)
	return ids
}

func wantIDs(t *testing.T, r *handle, want ...string) {
	t.Helper()
	if got := ids(t, r); !slices.Equal(got, want) {
		t.Errorf("List has %q, want %q", got, want)
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !condition(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("after %s: not yet: %s", patience, what)
		}
	}
}

// files returns the names in a directory.
func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(entries))
	for n, e := range entries {
		names[n] = e.Name()
	}
	return names
}

// updates watches the topic of instance and returns a channel of updates.
func updates(t *testing.T, r *handle) <-chan registry.Update {
	t.Helper()
	ch := make(chan registry.Update, 1000)
	t.Cleanup(r.Watch(registry.Topic{Exchange: "openstack", Name: "compute"}, func(u registry.Update) { ch <- u }))
	return ch
}

// until receives updates until one has exactly these instances, and returns it.
func until(t *testing.T, ch <-chan registry.Update, want ...string) registry.Update {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case u := <-ch:
			if u.Err == nil && slices.Equal(idsOf(u.Instances), want) {
				return u
			}
		case <-timeout.C:
			t.Fatalf("after %s: no update with %q", patience, want)
		}
	}
}

func TestSuite(t *testing.T) {
	dir := newDir(t)
	registrytest.Suite(t, func(t *testing.T) registry.Registry {
		t.Helper()
		r, err := Open(parse(t, "local://"+dir))
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		return r
	})
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("after all handles were closed the directory has %q", left)
	}
}

func TestModes(t *testing.T) {
	dir := newDir(t)
	publish(t, openAt(t, dir), instance("a"))
	for _, test := range []struct {
		path string
		want fs.FileMode
	}{{dir, fs.ModeDir | 0o700}, {filepath.Join(dir, files(t, dir)[0]), 0o600}} {
		if info, err := os.Lstat(test.path); err != nil || info.Mode() != test.want {
			t.Errorf("%s: mode %v, %v, want %v", test.path, info.Mode(), err, test.want)
		}
	}
}

func TestPollerRunsWhileNeeded(t *testing.T) {
	r := openAt(t, newDir(t))
	polling := func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.stopPoller != nil
	}
	want := func(when string, want bool) {
		t.Helper()
		if polling() != want {
			t.Errorf("%s: polling is %v, want %v", when, polling(), want)
		}
	}
	want("at first", false)
	wantIDs(t, r)
	want("after List", false)
	stop := r.Watch(registry.Topic{}, func(registry.Update) {})
	stopOther := r.Watch(registry.Topic{Name: "other"}, func(registry.Update) {})
	want("with two watches", true)
	stop()
	want("with one watch", true)
	publish(t, r, instance("a"))
	stopOther()
	want("with a publication", true)
	publish(t, r)
	want("after it was withdrawn", false)
}

func TestClosed(t *testing.T) {
	dir := newDir(t)
	r := openAt(t, dir)
	publish(t, r, instance("a"))
	if err := r.Close(context.Background()); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := r.Publish(t.Context(), []rpc.Instance{instance("a")}); err == nil {
		t.Error("Publish after Close succeeded")
	}
	r.Watch(registry.Topic{}, func(registry.Update) { t.Error("an update after Close") })()
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("after Close the directory has %q", left)
	}
}
