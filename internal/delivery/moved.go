package delivery

import (
	"context"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// relayed reports whether an instance is reached through a gateway. Its id begins with the boot id
// of its own process, and its BootID is the gateway's.
func relayed(e *route.Entry) bool {
	boot, _, has := strings.Cut(e.ID, ".")
	return has && e.BootID != "" && boot != e.BootID
}

// moved returns the new entry of an instance that was not reached because of err, if it is now
// reached through another gateway. It waits up to settleTime for that, and returns nil if nothing
// changes.
func (a *Audience) moved(ctx context.Context, e *route.Entry, err error) *route.Entry {
	if !a.mayMove(e, err) {
		return nil
	}
	settled := time.NewTimer(settleTime)
	defer settled.Stop()
	for {
		view, changed, err := a.topic.View(ctx)
		if err != nil {
			return nil
		}
		if now := view.Instance(e.ID); now != nil && (now.Addr != e.Addr || now.BootID != e.BootID) {
			return now
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		case <-settled.C:
			return nil
		}
	}
}

// mayMove reports whether an instance that did not get the message because of err may still run,
// because only its gateway was lost.
func (a *Audience) mayMove(e *route.Entry, err error) bool {
	return relayed(e) && rpc.SafeToRetry(err) && (rpc.KindOf(err) == rpc.Unreachable || refusal.Gone(err))
}
