package host

import (
	"context"
	"slices"
	"time"

	"github.com/oslorpc/oslorpc/pkg/registry"
)

// awaitSeen waits until this process itself sees the server in discovery, so that clients probably
// see it, too. If processes poll the registry, it then waits for the maximum interval of their
// polls. It does not wait if the process may watch another place than the one where it publishes,
// such as another data center.
func (h *Host) awaitSeen(ctx context.Context, r *run) error {
	if registry, ok := h.config.Registry.(registry.Elsewhere); ok && registry.Elsewhere() {
		return nil
	}
	topic := registry.Topic{Exchange: r.intake.Instance.Exchange, Name: r.intake.Instance.Topic}
	announced := time.Now()
	for {
		ids, changed, err := h.config.Listed(ctx, topic)
		if err != nil {
			return err
		}
		var all <-chan time.Time
		if slices.Contains(ids, r.intake.Instance.ID) {
			lag := time.Until(announced.Add(h.lag(len(ids))))
			if lag <= 0 {
				return nil
			}
			all = time.After(lag)
		}
		select {
		case <-changed:
		case <-all:
		case <-r.phase.Serving().Done():
			return errStoppedEarly()
		case <-ctx.Done():
			return tooLate(ctx, "the server had not yet seen itself in discovery, and stops again")
		}
	}
}

// lag returns the maximum time until all other processes have noticed a change of a topic with this
// number of instances. It is 0 if the registry notifies them at once.
func (h *Host) lag(instances int) time.Duration {
	if registry, ok := h.config.Registry.(registry.Polled); ok {
		return registry.Lag(instances)
	}
	return 0
}
