package oslorpc

import (
	"context"
	"time"
)

// Shutdown stops all servers at the same time, each as [Server.Stop] does, and then closes
// connections and discovery. Starts in progress fail. So do operations that still run when the
// servers have stopped, and operations that begin later. A Shutdown or Close during another joins
// it; a later one does nothing. In a method of one of the servers, with the method's ctx, Shutdown
// returns at once and goes on in the background.
//
// Shutdown returns at the latest when ctx ends. An error says that a server was stopped by force.
// If Shutdown cannot reach discovery to withdraw the servers, it logs that and returns no error:
// clients learn of it from the servers, or when the registration expires.
func (t *Transport) Shutdown(ctx context.Context) error {
	t.closed.Store(true)
	t.clients.Shut()
	t.host.Close()
	if t.host.Runs(ctx) {
		go func() { //nolint:contextcheck // The method's context ends before.
			ctx, cancel := t.host.StopContext()
			defer cancel()
			_ = t.stop(ctx) // callers that join get the error
		}()
		return nil
	}
	return t.stop(ctx)
}

func (t *Transport) stop(ctx context.Context) error {
	err := t.host.Stop(ctx)
	t.release(ctx)
	return err
}

// release closes everything except the servers: connections, certificates and the registry. The
// first ctx to end forces the release for all callers.
func (t *Transport) release(ctx context.Context) {
	t.releasing.Do(func() {
		go func() {
			defer close(t.released)
			t.host.End()
			t.clients.Close()
			t.config.security.Close()
			if err := t.registry.Close(t.releaseCtx); err != nil {
				t.config.log.Warn("registration was not withdrawn; it expires by itself", "error", err)
			}
		}()
	})
	select {
	case <-t.released:
	case <-ctx.Done():
		t.forceRelease(context.Cause(ctx))
		<-t.released
	}
}

// Close is Shutdown with ten seconds for the servers to finish what they accepted.
func (t *Transport) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return t.Shutdown(ctx)
}

const closeTimeout = 10 * time.Second
