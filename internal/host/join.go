package host

import (
	"context"
	"fmt"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// bringUp makes a server reachable and announces it.
func (h *Host) bringUp(ctx context.Context, r *run) error {
	change, err := h.join(ctx, r)
	if err != nil {
		return err
	}
	instance := r.instance()
	if registry, ok := h.config.Registry.(registry.Checker); ok {
		err = registry.Check(instance)
	}
	if err == nil {
		err = h.announcer.tell(ctx, change)
	}
	if err != nil {
		h.remove(ctx, r)
		h.announcer.settle() //nolint:contextcheck // It goes on when the caller's has ended.
		return unannounced(instance, err)
	}
	return nil
}

// join adds a server to the site, and returns the number of this change for the announcer. The
// first server opens the site. If another server is opening it, join waits for that.
func (h *Host) join(ctx context.Context, r *run) (change uint64, err error) {
	for {
		h.mu.Lock()
		opening := h.opening
		switch {
		case h.closed:
			err = errClosed()
		case h.site != nil:
			change = h.add(r)
		case opening == nil:
			h.opening = make(chan struct{})
		}
		h.mu.Unlock()
		if err != nil || change != 0 {
			return change, err
		}
		if opening == nil {
			return h.open(ctx, r)
		}
		select {
		case <-opening:
		case <-ctx.Done():
			return 0, tooLate(ctx, "another server of the transport still opened the address to listen on")
		}
	}
}

// open opens the site for its first server. It adds the server before the site serves; otherwise
// the site would refuse messages for the server.
func (h *Host) open(ctx context.Context, r *run) (change uint64, err error) {
	opened, err := newSite(ctx, &h.config)
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.opening)
	h.opening = nil
	if err == nil && h.closed {
		opened.stopListening()
		opened.grpc.Stop()
		err = errClosed()
	}
	if err != nil {
		return 0, err
	}
	h.site = opened
	change = h.add(r)
	opened.serve(h.config.Log)
	return change, nil
}

// add adds a server to the site, and returns the number of this change for the announcer. The lock
// is held.
func (h *Host) add(r *run) (change uint64) {
	h.site.add(r)
	r.noted, r.change = r.phase.Phase(), h.announcer.changed()
	return r.change
}

// remove removes a server from the site. If it was the last one, remove closes the site: clients
// get up to drainTime to read the last answers, unless ctx ends first. In the meantime, another
// site can be opened, even at the same address.
func (h *Host) remove(ctx context.Context, r *run) {
	h.mu.Lock()
	left := h.site
	left.remove(r)
	last := len(left.runs) == 0
	if last {
		h.site = nil
		left.stopListening()
	}
	h.mu.Unlock()
	if last {
		left.close(ctx)
	}
}

// unannounced adds the server that could not be announced to an error of the registry.
func unannounced(i rpc.Instance, err error) error {
	return failure.With(err, func(e *rpc.Error) {
		e.Message = fmt.Sprintf("server %q on topic %q cannot be announced: %s", i.Server, i.Topic, e.Message)
	})
}
