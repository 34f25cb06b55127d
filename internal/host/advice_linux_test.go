package host

import (
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/security"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// A process that cannot listen is told why, once, and what to do.
func TestAddressesThatCannotBeListenedOn(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	taken, gone := l.Addr().String(), filepath.Join(t.TempDir(), "gone", "s")
	plain, err := security.Open(security.Text{Config: trust.Config{Plaintext: true}, Variable: func(string) string { return "" }}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(plain.Close)
	for address, want := range map[string]string{
		taken: "cannot listen on " + taken + ": address already in use: stop the program that has it, or listen elsewhere; port 0 is any that is free",
		"192.0.2.1:0": "cannot listen on 192.0.2.1:0: cannot assign requested address: this machine does not have the address; " +
			"write one of its own, or 0.0.0.0 and the address to advertise",
		"unix:" + gone: "cannot listen on unix:" + gone + ": open " + filepath.Dir(gone) + ": no such file or directory",
	} {
		c := Config{Trust: plain, Listen: address}
		_, _, err := c.listen(t.Context())
		e, _ := errors.AsType[*rpc.Error](err)
		if e == nil || e.Kind != rpc.Invalid || !strings.HasPrefix(e.Message, want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}
