package fleet

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/oslorpc/oslorpc/internal/carrier/grpccarrier"
	"github.com/oslorpc/oslorpc/internal/peer"
	"github.com/oslorpc/oslorpc/internal/peer/peertest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// BenchmarkUpdate replaces one of many instances by another, as when its process restarts.
func BenchmarkUpdate(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			registry, network := &handle{}, &peertest.Network{}
			f := New(registry, grpccarrier.New(grpccarrier.Config{Peers: peer.Config{Dial: network.Dial}}), "", slog.New(slog.DiscardHandler))
			defer f.Close()
			f.Topic(compute)
			all := make([]rpc.Instance, n)
			for i := range all {
				all[i] = instance(fmt.Sprint(i))
			}
			registry.list(all...)
			for next := n; b.Loop(); next++ {
				all[next%n] = instance(fmt.Sprint(next))
				registry.list(slices.Clone(all)...)
			}
		})
	}
}
