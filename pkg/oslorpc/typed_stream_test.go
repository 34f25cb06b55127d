package oslorpc_test

import (
	"context"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// TestTypedStreamAfterTheEnd begins streams whose context has ended already.
func TestTypedStreamAfterTheEnd(t *testing.T) {
	f, _ := inventories(t, "1.2")
	v := volumes(f)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		stream, err := v.SyncVolumes(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_, err = stream.Recv()
		wantKind(t, err, oslorpc.Canceled, true)
	}
}
