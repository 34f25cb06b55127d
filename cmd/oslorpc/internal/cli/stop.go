package cli

import (
	"context"
	"os"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Stop stops a server gracefully, or by force at the next signal.
func Stop(ctx context.Context, server *oslorpc.Server, signals <-chan os.Signal) error {
	ctx, force := context.WithCancel(context.WithoutCancel(ctx)) // which the first signal ended
	defer force()
	go func() {
		select {
		case <-signals:
			force()
		case <-ctx.Done():
		}
	}()
	err := server.Stop(ctx)
	if ctx.Err() != nil && err != nil {
		return &oslorpc.Error{Kind: oslorpc.Canceled, Cause: err, Message: err.Error()}
	}
	return err
}
