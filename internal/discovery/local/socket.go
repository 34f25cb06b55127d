//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package local

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Names of sockets are short, since systems limit the paths of sockets to about a hundred bytes.
const (
	socketSuffix  = ".sock"
	socketDigits  = 8
	maxSocketPath = 103 // what macOS allows
)

// Socket implements [registry.Private].
func (r *handle) Socket() (string, error) {
	var random [socketDigits / 2]byte
	_, _ = rand.Read(random[:]) // according to its documentation, it never fails
	path := filepath.Join(r.scanner.dir, hex.EncodeToString(random[:])+socketSuffix)
	if len(path) > maxSocketPath {
		return "", refuse(r.scanner.dir, fmt.Sprintf("has a path that is too long for sockets, which may have %d bytes: "+
			"name a directory with a shorter path, or listen on an address such as 127.0.0.1:0", maxSocketPath))
	}
	return path, nil
}

// isSocket reports whether a file has a name as Socket returns it.
func isSocket(name string) bool {
	digits, found := strings.CutSuffix(name, socketSuffix)
	return found && len(digits) == socketDigits && strings.Trim(digits, "0123456789abcdef") == ""
}

// removeSockets removes the sockets of a dead process.
func removeSockets(dir string, instances []rpc.Instance) {
	for _, i := range instances {
		path, found := strings.CutPrefix(i.Addr, "unix:")
		if found && filepath.Dir(path) == dir && isSocket(filepath.Base(path)) {
			_ = os.Remove(path) // the socket may have been removed already
		}
	}
}

// sweepSockets removes sockets of processes that died before they published anything.
func sweepSockets(dir string) {
	files, _ := os.ReadDir(dir) // on an error, remove only the sockets that were listed
	for _, f := range files {
		info, err := f.Info()
		if err != nil || f.Type() != os.ModeSocket || !isSocket(f.Name()) || time.Since(info.ModTime()) < staleAfter {
			continue
		}
		path := filepath.Join(dir, f.Name())
		if isDead(path) {
			_ = os.Remove(path) //nolint:gosec // Another process may have been faster.
		}
	}
}

// isDead reports whether no process listens on a socket. If the queue of connections is full, a
// process listens.
func isDead(path string) bool {
	conn, err := net.DialTimeout("unix", path, time.Second) //nolint:noctx // A second bounds it, and Open has no context.
	if err == nil {
		_ = conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
