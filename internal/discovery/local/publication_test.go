//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/oslorpc/oslorpc/internal/freeze"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// removeDir removes a directory. Its owner may concurrently write its file again.
func removeDir(dir string) (err error) {
	for range 1000 {
		if err = os.RemoveAll(dir); err == nil {
			return nil
		}
	}
	return err
}

// currentPath returns the path of the file, which the poller may be rewriting.
func currentPath(r *handle) string {
	r.own.mu.Lock()
	defer r.own.mu.Unlock()
	return r.own.path
}

func TestFileVanishes(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(path string) error
	}{
		{"removed", os.Remove},
		{"replaced", func(path string) error {
			return errors.Join(os.WriteFile(path+".new", []byte("{}"), 0o600), os.Rename(path+".new", path))
		}},
		{"renamed", func(path string) error { return os.Rename(path, path+".old") }},
		{"directory removed", func(path string) error { return removeDir(filepath.Dir(path)) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := newDir(t)
			r := openAt(t, dir)
			lapses := make(chan string, 10)
			r.Lapses(func(reason string) { lapses <- reason })
			publish(t, r, instance("a"))
			publish(t, r, instance("a"))
			if len(lapses) != 0 {
				t.Errorf("lapsed already: %s", <-lapses)
			}
			path := currentPath(r)
			must(t, test.spoil(path))
			eventually(t, "the owner's own file in place", func() bool {
				r.own.mu.Lock()
				defer r.own.mu.Unlock()
				return r.own.inPlace()
			})
			<-lapses
			wantIDs(t, openAt(t, dir), "a")
			if now := currentPath(r); now != path {
				t.Errorf("the file moved from %s to %s", path, now)
			}
		})
	}
}

// TestDirectoryVanishes has a watcher that must not mistake the loss of the directory for servers
// that left.
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
	// A frozen process cannot rewrite its file before the watcher looks.
	b := start(t, dir, "b")
	until(t, ch, "b")
	must(t, freeze.Process(b.Process))
	wantIDs(t, watcher, "b")
	must(t, removeDir(dir))
	if u := until(t, ch); !u.Reset {
		t.Error("the loss of the directory is no reset")
	}
	must(t, b.Process.Signal(syscall.SIGCONT))
	until(t, ch, "b")
}

func TestWithdrawnFileIsGone(t *testing.T) {
	dir := newDir(t)
	r := openAt(t, dir)
	publish(t, r, instance("a"))
	func() { // between two looks of the poller, which would put the file back
		r.own.mu.Lock()
		defer r.own.mu.Unlock()
		must(t, os.RemoveAll(dir))
		must(t, r.own.withdraw())
	}()
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
		must(t, r.Close(context.Background()))
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

// TestRewritesAreNotMissed has processes that rewrite their files among many others while readers
// look: a reader that knows the directory, and new ones. All readers must always see all processes.
// On tmpfs, a single listing would miss some.
func TestRewritesAreNotMissed(t *testing.T) {
	dir := newDir(t)
	want := make([]string, 200)
	owners := make([]*handle, len(want))
	for n := range want {
		want[n], owners[n] = fmt.Sprintf("%03d", n), openAt(t, dir)
		publish(t, owners[n], instance(want[n]))
	}
	reader := newScanner(dir)
	must(t, reader.scan())
	for round := range 50 {
		var wg sync.WaitGroup
		for n := range 20 {
			n = (round + n*10) % len(want)
			wg.Go(func() {
				if err := owners[n].Publish(t.Context(), []rpc.Instance{instance(want[n])}); err != nil {
					t.Errorf("Publish: %v", err)
				}
			})
		}
		fresh := newScanner(dir)
		for _, s := range []*scanner{&fresh, &reader} {
			must(t, s.scan())
			if got := idsOf(s.instances(nil)); !slices.Equal(got, want) {
				t.Errorf("round %d: %d instances, want %d", round, len(got), len(want))
			}
		}
		wg.Wait()
	}
}

// TestPublishFails blocks the path of the file. The earlier publication stays.
func TestPublishFails(t *testing.T) {
	dir := newDir(t)
	r := openAt(t, dir)
	publish(t, r, instance("a"))
	must(t, os.Mkdir(filepath.Join(dir, fileName("boot-b", r.own.unique)), 0o700))
	if err := r.Publish(t.Context(), []rpc.Instance{instance("b")}); !errors.Is(err, rpc.Unreachable) {
		t.Errorf("Publish: %v, want kind %q", err, rpc.Unreachable)
	}
	wantIDs(t, r, "a")
	if names := files(t, dir); len(names) != 2 {
		t.Errorf("the directory has %q, want no temporary file", names)
	}
}

// TestCannotComeBack makes the owner fail to rewrite its file, for a while.
func TestCannotComeBack(t *testing.T) {
	dir := newDir(t)
	p := newPublication(dir)
	must(t, p.set([]rpc.Instance{instance("a")}))
	defer p.close()
	log := logged(t)
	must(t, os.Remove(p.path))
	must(t, os.Chmod(dir, 0o755))
	p.check()
	p.check()
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "mode 0755") {
		t.Errorf("want one warning with the reason, got:\n%s", text)
	}
	must(t, os.Chmod(dir, 0o700))
	p.check()
	wantIDs(t, openAt(t, dir), "a")
}
