package introduction

import (
	"context"
	"log/slog"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// TestClient is the client side of the test endpoint: its users see methods, not messages.
type TestClient struct {
	client *oslorpc.Client
}

// NewTestClient returns a client that sends messages at version 1.0, unless a method needs another
// version.
func NewTestClient(t *oslorpc.Transport) TestClient {
	return TestClient{t.Client(oslorpc.Target{Topic: Topic, Version: "1.0"})}
}

// Test returns arg, sent to any server and back.
func (c TestClient) Test(ctx context.Context, arg any) (any, error) {
	return oslorpc.Call[any](ctx, c.client, "test", TestArgs{arg})
}

// TestSoon is Test for a caller who waits no longer than ten seconds.
func (c TestClient) TestSoon(ctx context.Context, arg any) (any, error) {
	return oslorpc.Call[any](ctx, c.client.Prepare(oslorpc.WithTimeout(10*time.Second)), "test", TestArgs{arg})
}

// TestLater is Test for servers of version 1.1, of which there are none yet.
func (c TestClient) TestLater(ctx context.Context, arg any) (any, error) {
	return oslorpc.Call[any](ctx, c.client.Prepare(oslorpc.WithVersion("1.1")), "test", TestArgs{arg})
}

// Tell sends arg to any running server. If there is none, the message is dropped.
func (c TestClient) Tell(ctx context.Context, arg any) error {
	err := c.client.Prepare(oslorpc.WithRetry(0)).Cast(ctx, "test", TestArgs{arg})
	if oslorpc.IsNotDelivered(err) {
		slog.Info("no server was told", "error", err)
		return nil
	}
	return err
}

// ControlClient is the client side of the control endpoint.
type ControlClient struct {
	client *oslorpc.Client
}

// NewControlClient returns a client of the server with this name.
func NewControlClient(t *oslorpc.Transport, server string) ControlClient {
	return ControlClient{t.Client(oslorpc.Target{Topic: Topic, Namespace: "control", Version: "2.0", Server: server})}
}

// Stop stops the server. It returns when the server has accepted the message.
func (c ControlClient) Stop(ctx context.Context) error { return c.client.Cast(ctx, "stop", nil) }
