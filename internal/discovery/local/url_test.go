package local

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestDirectory(t *testing.T) {
	t.Setenv("TMPDIR", "/elsewhere")
	fallback := fmt.Sprintf("/tmp/oslorpc-%d", os.Geteuid())
	for _, test := range []struct{ address, want string }{
		{"local://", fallback},
		{"local:", fallback},
		{"local:///run/oslorpc", "/run/oslorpc"},
		{"local:///run//x/../oslorpc/", "/run/oslorpc"},
		{"local:///run/a%20b", "/run/a b"},
	} {
		t.Run(test.address, func(t *testing.T) {
			if got, err := directory(parse(t, test.address)); got != test.want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestDirectoryMalformed(t *testing.T) {
	for _, test := range []struct{ address, want string }{
		{"local://run/oslorpc", "local:///run/oslorpc"},
		{"local://name", "three slashes"},
		{"local:run/oslorpc", "local:///absolute/directory"},
		{"local://?dir=x", `transport URL "local://?dir=x": write local:// or local:///absolute/directory, without parameters of its own`},
		{"local:///run?dir=x", "local:///absolute/directory"},
		{"local:///run#x", "local:///absolute/directory"},
		{"local://user@/run", "local:///absolute/directory"},
		{"memory://", "local:///absolute/directory"},
	} {
		t.Run(test.address, func(t *testing.T) {
			_, err := directory(parse(t, test.address))
			if !errors.Is(err, rpc.Invalid) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want kind %q and text %q", err, rpc.Invalid, test.want)
			}
		})
	}
}

func parse(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// For every URL, the directory is an absolute path in its shortest form, or the error says that the
// library was misused.
func FuzzDirectory(f *testing.F) {
	for _, address := range []string{"local://", "local:", "local:///dir", "local:///a/../b?x=1", "local://dir", "local:///%2e%2e/%00", "LOCAL:///a#b"} {
		f.Add(address)
	}
	f.Fuzz(func(t *testing.T, address string) {
		u, err := url.Parse(address)
		if err != nil {
			return
		}
		dir, err := directory(u)
		switch {
		case err != nil && !errors.Is(err, rpc.Invalid):
			t.Errorf("%v, want an error of kind %q", err, rpc.Invalid)
		case err == nil && (!filepath.IsAbs(dir) || filepath.Clean(dir) != dir):
			t.Errorf("%q is no absolute path in its shortest form", dir)
		}
	})
}
