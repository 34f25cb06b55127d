//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package local

import (
	"net/url"
	"runtime"

	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Open fails: this system lacks the file locks that the registry relies on.
func Open(u *url.URL) (registry.Registry, error) {
	if _, err := directory(u); err != nil {
		return nil, err
	}
	return nil, &rpc.Error{Kind: rpc.Invalid, NotStarted: true, Message: "a local:// registry needs flock, which " +
		runtime.GOOS + " does not have: use static://, consul:// or, within one process, memory://"}
}
