package delivery

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// TestUntrustedServers checks that untrusted servers are skipped. If there is no other server,
// waiting does not help. While another may come back, the message waits.
func TestUntrustedServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, instance("a"), instance("b"))
		s := (&script{}).says("a", untrusted)
		for turn := range uint64(10) {
			if took, err := w.deliver(t, time.Minute, message(func(m *Message) { m.Turn = turn }), s); err != nil || took != 0 {
				t.Errorf("after %v: %v", took, err)
			}
		}
		took, err := w.deliver(t, time.Minute, message(to("host-a")), s)
		expectError(t, err, rpc.Untrusted)
		if e, _ := errors.AsType[*rpc.Error](err); e.Server != "host-a" {
			t.Errorf("the error is about %q", e.Server)
		}
		about(t, took, 0, 0)
		s.says("b", untrusted)
		for _, m := range []*Message{message(), message(failFast), message(rounds(1)), message(rounds(5))} {
			took, err := w.deliver(t, time.Minute, m, s)
			expectError(t, err, rpc.Untrusted)
			about(t, took, 0, 0)
		}
		got, _, took := w.fanout(t, time.Minute, s.send)
		if want := []string{"a failed", "b failed"}; !slices.Equal(got, want) || took != 0 {
			t.Errorf("after %v: %v, want %v", took, got, want)
		}
		s.says("b", full, full, nil)
		if _, err := w.deliver(t, time.Minute, message(), s); err != nil {
			t.Errorf("it did not wait for the server that is trusted: %v", err)
		}
	})
}
