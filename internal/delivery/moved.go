package delivery

import (
	"context"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// relayed reports whether an instance is reached through a gateway: then the process at its address
// is not its own process.
func relayed(e *route.Entry) bool {
	boot, _, has := strings.Cut(e.ID, ".")
	return has && e.BootID != "" && boot != e.BootID
}

// moved returns another way to an instance that was not reached, such as the next gateway, or nil
// if there is none soon. Err is why the instance did not get the message.
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

// mayMove reports whether an instance that did not get the message may be well, because only its
// gateway was lost.
func (a *Audience) mayMove(e *route.Entry, err error) bool {
	return relayed(e) && rpc.SafeToRetry(err) && (rpc.KindOf(err) == rpc.Unreachable || refusal.Gone(err))
}
