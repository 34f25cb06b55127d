package refusal_test

import (
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestOffered(t *testing.T) {
	t.Parallel()
	list := []rpc.Implementation{{Version: rpc.Version{Major: 1, Minor: 4}}, {Namespace: "ns", Version: rpc.Version{Major: 2}}}
	e := &rpc.Error{Kind: rpc.UnsupportedVersion, Cause: &refusal.Offer{Implemented: list}}
	for _, err := range []error{e, fmt.Errorf("wrapped: %w", e)} {
		if got := refusal.Offered(err); !slices.Equal(got, list) {
			t.Errorf("%v offers %v", err, got)
		}
	}
	for _, err := range []error{nil, io.EOF, &rpc.Error{Kind: rpc.UnsupportedVersion}} {
		if got := refusal.Offered(err); got != nil {
			t.Errorf("%v offers %v", err, got)
		}
	}
}
