// Package local is a registry for the processes of one user on one machine. It needs no daemon.
//
// Each process keeps one file in a private directory and holds a lock on it. The kernel releases
// the lock however the process ends, so a file without a lock belongs to a dead process.
package local

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// directory returns the directory of a transport URL. The default does not depend on TMPDIR,
// because processes with different environments must find each other.
func directory(u *url.URL) (string, error) {
	switch {
	case u.Scheme != "local" || u.Opaque != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", malformed(u, "write local:// or local:///absolute/directory, without parameters of its own")
	case u.Host != "":
		return "", malformed(u, fmt.Sprintf("a directory is absolute: write local:///%s with three slashes", u.Host+u.Path))
	case u.Path == "":
		return fmt.Sprintf("/tmp/oslorpc-%d", os.Geteuid()), nil
	}
	return filepath.Clean(u.Path), nil
}

func malformed(u *url.URL, advice string) error {
	text := u.Redacted()
	if rest, ok := strings.CutPrefix(text, "local:?"); ok { // package url leaves the slashes out
		text = "local://?" + rest
	}
	return &rpc.Error{Kind: rpc.Invalid, NotStarted: true, Message: fmt.Sprintf("transport URL %q: %s", text, advice)}
}
