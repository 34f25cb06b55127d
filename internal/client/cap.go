package client

import (
	"context"
	"time"

	"github.com/oslorpc/oslorpc/internal/delivery"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// CanSend reports whether the version cap lets messages of the client's version through.
func (c *Client) CanSend(ctx context.Context) (bool, error) {
	if c.err != nil {
		return false, c.err
	}
	return c.canSend(ctx, c.query.Version)
}

// CanSendVersion is CanSend for another version than the client's.
func (c *Client) CanSendVersion(ctx context.Context, version string) (bool, error) {
	target := c.settings.Target
	target.Version = version
	if err := target.ValidateClient(); err != nil {
		return false, err
	}
	if c.err != nil { // the client's error may be about its own version, which is not used here
		settings := c.settings
		settings.Target = target
		return c.With(settings).CanSend(ctx)
	}
	wanted, err := rpc.VersionOrDefault(version)
	if err != nil {
		return false, failure.Invalid("%v", err)
	}
	return c.canSend(ctx, wanted)
}

func (c *Client) canSend(ctx context.Context, version rpc.Version) (bool, error) {
	if !c.cap.IsAuto() {
		return c.cap.Allows(version), nil
	}
	view, err := c.view(ctx)
	if err != nil {
		return false, err
	}
	return view.Common(route.Query{Namespace: c.query.Namespace, Version: version}, c.settings.Target.Server), nil
}

// Why explains the version cap for the interface that the client uses, and the effect of its zone.
func (c *Client) Why(ctx context.Context) (*rpc.CapReason, error) {
	if c.err != nil {
		return nil, c.err
	}
	i, target := c.contract(), c.settings.Target
	zoned := c.transport.config.Zone != "" && target.Server == "" && !target.Fanout
	if !c.cap.IsAuto() && !zoned {
		return c.cap.Reason(i), nil
	}
	view, err := c.view(ctx)
	if err != nil {
		return nil, err
	}
	r := c.cap.Reason(i)
	if c.cap.IsAuto() {
		since := c.watched().Follow(i)
		r = view.Ceiling(i, target.Server).Reason(i)
		r.Since = since
	}
	if zoned {
		r.Zone = view.Zone(c.query)
	}
	return r, nil
}

// view returns the view of the topic. It waits for the first one.
func (c *Client) view(ctx context.Context) (*route.View, error) {
	if err := c.transport.check(); err != nil {
		return nil, err
	}
	topic := c.watched()
	if view := topic.Now(); view != nil {
		return view, nil
	}
	ctx, limit := c.until(ctx, time.Now(), DefaultAskTimeout)
	defer limit.End()
	return delivery.Known(ctx, topic)
}
