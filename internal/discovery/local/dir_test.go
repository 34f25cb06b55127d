//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package local

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestUnsafeDirectory(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(dir string) error
		kind rpc.Kind
		want string
	}{
		{"symbolic link", func(dir string) error {
			return errors.Join(os.Mkdir(dir+"-real", 0o700), os.Symlink(dir+"-real", dir))
		}, rpc.Invalid, "is a symbolic link"},
		{"dangling symbolic link", func(dir string) error { return os.Symlink(dir+"-real", dir) }, rpc.Invalid, "is a symbolic link"},
		{"file", func(dir string) error { return os.WriteFile(dir, nil, 0o600) }, rpc.Invalid, "is not a directory"},
		{"readable by all", func(dir string) error { return mkdir(dir, 0o755) }, rpc.Invalid, "mode 0755"},
		{"writable by the group", func(dir string) error { return mkdir(dir, 0o720) }, rpc.Invalid, "chmod 0700"},
		{"of another user", func(dir string) error {
			return errors.Join(mkdir(dir, 0o700), os.Chown(dir, 12345, -1))
		}, rpc.Invalid, "belongs to user 12345"},
		{"without a parent", func(dir string) error { return os.Remove(filepath.Dir(dir)) }, rpc.Invalid, "the directory above it does not exist"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := newDir(t)
			if err := test.make(dir); errors.Is(err, os.ErrPermission) {
				t.Skipf("only root can make one: %v", err)
			} else if err != nil {
				t.Fatal(err)
			}
			_, err := Open(parse(t, "local://"+dir+"/"))
			if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("Open: %v\nwant kind %q, the directory, and text %q", err, test.kind, test.want)
			}
		})
	}
}

// mkdir makes a directory with this mode, whatever the umask.
func mkdir(dir string, mode os.FileMode) error {
	return errors.Join(os.Mkdir(dir, mode), os.Chmod(dir, mode))
}

// TestBecomesUnsafe gives others access to the directory while it is in use.
func TestBecomesUnsafe(t *testing.T) {
	dir := newDir(t)
	r := openAt(t, dir)
	ch := updates(t, r)
	publish(t, r, instance("a"))
	until(t, ch, "a")
	must(t, os.Chmod(dir, 0o777))
	if u := <-ch; !errors.Is(u.Err, rpc.Invalid) {
		t.Errorf("update %+v, want an error of kind %q", u, rpc.Invalid)
	}
	if _, err := r.List(t.Context()); !errors.Is(err, rpc.Invalid) {
		t.Errorf("List: %v, want kind %q", err, rpc.Invalid)
	}
	if err := r.Publish(t.Context(), []rpc.Instance{instance("b")}); !errors.Is(err, rpc.Invalid) {
		t.Errorf("Publish: %v, want kind %q", err, rpc.Invalid)
	}
	must(t, os.Chmod(dir, 0o700))
	until(t, ch, "a")
}
