package client

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Call has one server run a method, and stores its result in the value that result points to.
func (c *Client) Call(ctx context.Context, method string, args, result any) error {
	return c.one(ctx, &calls, method, args, result)
}

// Cast has one server run a method, or every server if the target is a fanout. It does not wait for
// the method.
func (c *Client) Cast(ctx context.Context, method string, args any) error {
	if c.settings.Target.Fanout {
		_, err := c.Fanout(ctx, method, args)
		return c.lossy(method, err)
	}
	return c.lossy(method, c.one(ctx, &casts, method, args, nil))
}

// lossy returns the error of a cast. With LossyCasts, it logs an undelivered cast and returns nil.
func (c *Client) lossy(method string, err error) error {
	if c.settings.LossyCasts && rpc.IsNotDelivered(err) {
		c.transport.config.Log.Warn("cast lost", "method", method, "error", err)
		return nil
	}
	return err
}

// UsedTwice returns the error for a sequence that can be used only once. What names the sequence,
// such as "a gather".
func (c *Client) UsedTwice(method, what string) error {
	return failure.Name(failure.Invalid("%s can be ranged over once; make another to run the method again", what), c.settings.Target, method)
}
