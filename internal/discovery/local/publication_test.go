//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package local

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/oslorpc/oslorpc/internal/discovery"
)

func TestFileVanishes(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(t *testing.T, path string)
	}{
		{"removed", func(t *testing.T, path string) { must(t, os.Remove(path)) }},
		{"replaced", func(t *testing.T, path string) {
			must(t, os.WriteFile(path+".new", []byte("{}"), 0o600))
			must(t, os.Rename(path+".new", path))
		}},
		{"renamed", func(t *testing.T, path string) { must(t, os.Rename(path, path+".old")) }},
		{"directory removed", func(t *testing.T, path string) { must(t, os.RemoveAll(filepath.Dir(path))) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := newDir(t)
			r := openAt(t, dir)
			publish(t, r, instance("a"))
			path := r.own.path
			test.spoil(t, path)
			eventually(t, "the owner's own file in place", func() bool {
				r.own.mu.Lock()
				defer r.own.mu.Unlock()
				return r.own.inPlace()
			})
			wantIDs(t, openAt(t, dir), "a")
			if r.own.path != path {
				t.Errorf("the file moved from %s to %s", path, r.own.path)
			}
		})
	}
}

// TestDirectoryVanishes has a watcher that must not take the loss of the directory for servers that left.
func TestDirectoryVanishes(t *testing.T) {
	dir := newDir(t)
	watcher := openAt(t, dir)
	ch := updates(t, watcher)
	if u := until(t, ch); u.Reset {
		t.Error("the first update is a reset")
	}
	p := start(t, dir, "a")
	until(t, ch, "a")
	p.kill()
	if u := until(t, ch); u.Reset {
		t.Error("the end of a process is a reset")
	}
	// A process that is gone with the directory cannot write its file again.
	start(t, dir, "b")
	until(t, ch, "b")
	must(t, os.RemoveAll(dir))
	wantReset(t, ch, "b")
}

// wantReset takes a reset, unless the owner was faster than the watcher and nothing was lost for it.
func wantReset(t *testing.T, ch <-chan discovery.Update, id string) {
	t.Helper()
	u := <-ch
	if !u.Reset {
		t.Errorf("update %+v is no reset", u)
	}
	if len(u.Instances) == 0 {
		until(t, ch, id)
	}
}

func TestWithdrawnFileIsGone(t *testing.T) {
	dir := newDir(t)
	r := openAt(t, dir)
	publish(t, r, instance("a"))
	must(t, os.RemoveAll(dir))
	publish(t, r)
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("withdrawing made the directory again: %v", err)
	}
}

func TestFileName(t *testing.T) {
	for _, test := range []struct{ bootID, want string }{
		{"0b5c-77", "oslorpc-0b5c-77-unique.json"},
		{"", "oslorpc--unique.json"},
		{"a/../b\x00ä", "oslorpc-a____b__-unique.json"},
		{strings.Repeat("ä", 300), "oslorpc-" + strings.Repeat("_", 64) + "-unique.json"},
	} {
		if got := fileName(test.bootID, "unique"); got != test.want {
			t.Errorf("fileName(%q) = %q, want %q", test.bootID, got, test.want)
		}
	}
}

func TestNamesAreNotReused(t *testing.T) {
	dir := newDir(t)
	seen := map[string]bool{}
	for range 3 {
		r := openAt(t, dir)
		publish(t, r, instance("a"))
		publish(t, r, instance("a"))
		names := files(t, dir)
		if len(names) != 1 || seen[names[0]] || !strings.Contains(names[0], "boot-a") {
			t.Errorf("the directory has %q, want one new name with the boot id", names)
		}
		seen[names[0]] = true
		must(t, r.Close())
	}
}

func TestAnotherBootIDMovesTheFile(t *testing.T) {
	dir := newDir(t)
	r := openAt(t, dir)
	publish(t, r, instance("a"))
	publish(t, r, instance("b"))
	wantIDs(t, r, "b")
	if names := files(t, dir); len(names) != 1 || !strings.Contains(names[0], "boot-b") {
		t.Errorf("the directory has %q, want one file with the new boot id", names)
	}
}

// TestRewritesAreNotMissed has two processes rewrite their files among many others, and readers that must always see all:
// one that knows the directory, and new ones. On tmpfs, a single listing would miss some.
func TestRewritesAreNotMissed(t *testing.T) {
	dir := newDir(t)
	var want []string
	for n := range 100 {
		id := fmt.Sprintf("%03d", n)
		publish(t, openAt(t, dir), instance(id))
		want = append(want, id)
	}
	writers := []*registry{openAt(t, dir), openAt(t, dir)}
	for n, w := range writers {
		publish(t, w, instance(fmt.Sprint("w", n)))
		want = append(want, fmt.Sprint("w", n))
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for n, w := range writers {
		wg.Go(func() { rewrite(t, w, fmt.Sprint("w", n), done) })
	}
	reader := openAt(t, dir)
	for range 100 {
		fresh := openAt(t, dir)
		for _, r := range []*registry{reader, fresh} {
			if got := ids(t, r); !slices.Equal(got, want) {
				t.Errorf("%d instances, want %d; the last are %q", len(got), len(want), got[max(0, len(got)-3):])
			}
		}
	}
	close(done)
	wg.Wait()
}

// rewrite publishes an instance again and again. It waits for a scan of its own between, so that a reader whose two listings
// fall between two of its steps is not kept from ever seeing it.
func rewrite(t *testing.T, r *registry, id string, done <-chan struct{}) {
	i := instance(id)
	for n := 0; ; n++ {
		select {
		case <-done:
			return
		default:
		}
		i.State = []discovery.State{discovery.Active, discovery.Held}[n%2]
		if err := r.Publish(t.Context(), []discovery.Instance{i}); err != nil {
			t.Errorf("Publish: %v", err)
			return
		}
		if _, err := r.List(t.Context()); err != nil {
			t.Errorf("List: %v", err)
			return
		}
	}
}
