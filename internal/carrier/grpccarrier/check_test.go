package grpccarrier

import (
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/peer"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// TestCheckCountsHeaders fills the headers of a message in each way, up to the limit and one byte
// beyond.
func TestCheckCountsHeaders(t *testing.T) {
	t.Parallel()
	const room = 1000
	c := New(Config{MaxHeader: headerShare + room})
	defer c.Close()
	typed := &carrier.Typed{}
	for name, test := range map[string]struct {
		fill func(n int) *carrier.Request
		// fixed is the size of the header without its value.
		fixed int
	}{
		"metadata": {func(n int) *carrier.Request {
			return &carrier.Request{Metadata: rpc.Metadata{"trace": {strings.Repeat("x", n)}}}
		}, 32 + len("trace")},
		"order key": {func(n int) *carrier.Request {
			return &carrier.Request{Typed: typed, OrderKey: strings.Repeat("x", n)}
		}, 32 + len("oslorpc-order-key")},
	} {
		if err := c.Check(test.fill(room - test.fixed)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		err := c.Check(test.fill(room - test.fixed + 1))
		if rpc.KindOf(err) != rpc.TooLarge || !rpc.SafeToRetry(err) || !strings.Contains(err.Error(), "raise HeaderSize with WithLimits") {
			t.Errorf("%s: got %v", name, err)
		}
	}

	large := strings.Repeat("x", 2*room)
	if err := c.Check(&carrier.Request{Typed: typed, Context: large}); rpc.KindOf(err) != rpc.TooLarge {
		t.Errorf("the context of a typed message: %v", err)
	}
	if err := c.Check(&carrier.Request{Context: large, OrderKey: large}); err != nil {
		t.Errorf("what a dynamic message has in its body: %v", err)
	}
	if err := c.Check(&carrier.Request{Metadata: rpc.Metadata{"oslorpc-id": {large}}}); err != nil {
		t.Errorf("a header that is not sent: %v", err)
	}
}

// TestCheckAllowsOneToken checks that the program's token is refused beside the transport's token,
// in whatever case the header's name is written.
func TestCheckAllowsOneToken(t *testing.T) {
	t.Parallel()
	own, without := New(Config{Peers: peer.Config{Token: func() string { return "t" }}}), New(Config{})
	defer own.Close()
	defer without.Close()
	for name, refused := range map[string]bool{"authorization": true, "Authorization": true, "authorizations": false} {
		r := &carrier.Request{Metadata: rpc.Metadata{name: {"Bearer x"}}}
		if err := own.Check(r); (rpc.KindOf(err) == rpc.Invalid) != refused || err != nil && !rpc.SafeToRetry(err) {
			t.Errorf("%s: got %v", name, err)
		}
		if err := without.Check(r); err != nil {
			t.Errorf("%s without a token of the transport: %v", name, err)
		}
	}
}
