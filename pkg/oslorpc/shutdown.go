package oslorpc

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"
)

// Shutdown stops all servers, together, as [Server.Stop] does each, and releases everything else.
// Starts in progress fail. Operations that run when the servers have stopped fail, and so do
// operations that begin later. A Shutdown or Close during another joins it, and one after it does
// nothing. In a method of one of the servers, with the method's ctx, Shutdown returns at once and
// goes on in the background.
//
// It returns when ctx ends, at the latest. An error says that a server was stopped by force. If
// discovery cannot be told, Shutdown logs that and returns no error: clients learn of it from the
// servers, or when the registration expires.
func (t *Transport) Shutdown(ctx context.Context) error {
	servers := t.close()
	if slices.ContainsFunc(servers, func(s *Server) bool { return s.runs(ctx) }) {
		// The error is for callers that join.
		go func() { //nolint:contextcheck // The method's context ends before.
			ctx, cancel := t.config.boundStop()
			defer cancel()
			_ = t.shutdown(ctx, servers)
		}()
		return nil
	}
	return t.shutdown(ctx, servers)
}

// boundStop returns the context of a stop that no other bounds.
func (c *config) boundStop() (context.Context, context.CancelFunc) {
	if c.stopTimeout <= 0 {
		return context.WithCancel(context.Background())
	}
	return context.WithTimeout(context.Background(), c.stopTimeout)
}

// close lets no more servers start, and returns the servers that do not rest.
func (t *Transport) close() []*Server {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed.Store(true)
	t.clients.Shut()
	return slices.Collect(maps.Keys(t.servers))
}

func (t *Transport) shutdown(ctx context.Context, servers []*Server) error {
	for _, s := range servers {
		s.giveUpStart(errClosed())
	}
	// Together: one by one, the last would accept until the first have withdrawn.
	t.withdrawServers(ctx, withdrawWithin(ctx), servers...)
	failures := make([]error, len(servers))
	var stopping sync.WaitGroup
	for i, s := range servers {
		stopping.Go(func() { failures[i] = s.Stop(ctx) })
	}
	stopping.Wait()
	t.release(ctx)
	return errors.Join(failures...)
}

// release releases everything but the servers. The first ctx to end hurries it for all callers.
func (t *Transport) release(ctx context.Context) {
	t.releasing.Do(func() {
		go func() {
			defer close(t.released)
			t.endBackground()
			t.clients.Close()
			if err := t.registry.Close(t.patience); err != nil {
				t.config.log.Warn("registration was not withdrawn; it expires by itself", "error", err)
			}
		}()
	})
	select {
	case <-t.released:
	case <-ctx.Done():
		t.hurry(context.Cause(ctx))
		<-t.released
	}
}

// endBackground ends what runs in the background.
func (t *Transport) endBackground() {
	t.mu.Lock()
	t.end()
	t.mu.Unlock()
	t.news.background.Wait()
}

// Close is Shutdown with ten seconds for the servers to finish what they accepted.
func (t *Transport) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return t.Shutdown(ctx)
}

const closeTimeout = 10 * time.Second

func errClosed() error { return invalidUse("the transport is closed") }
