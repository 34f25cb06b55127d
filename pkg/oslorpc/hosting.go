package oslorpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/service"
)

// addServer brings a server up on the transport's host, which the first one makes, and announces it. It returns the whole instance.
func (t *Transport) addServer(ctx context.Context, s *Server, run *serverRun) (discovery.Instance, error) {
	i := run.instance
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed.Load() {
		return i, errClosed()
	}
	services, err := s.typedServices()
	if err != nil {
		return i, err
	}
	if t.host == nil {
		h, err := newHost(ctx, &t.config)
		if err != nil {
			return i, err
		}
		t.host = h
	}
	i = t.host.add(s, &service.Server{Instance: i, Dispatch: run.dispatch, Missed: run.undelivered, Typed: services}, s.hold)
	if err := t.announce(ctx); err != nil {
		t.dropServer(ctx, s)
		return i, unannounced(i, err)
	}
	return i, nil
}

// unannounced says of an error of the registry which server is not announced for it.
func unannounced(i discovery.Instance, err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	said := *e
	said.Message = fmt.Sprintf("server %q on topic %q cannot be announced: %s", i.Server, i.Topic, e.Message)
	return &said
}

// announce tells the others of the servers here. The lock is held.
func (t *Transport) announce(ctx context.Context) error {
	if err := t.registry.Publish(ctx, t.host.announced()); err != nil {
		return err
	}
	t.host.setAnnounced()
	return nil
}

// changeServer changes what a server takes, and tells the others unless they know.
func (t *Transport) changeServer(ctx context.Context, s *Server, change func(*hosted)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.host == nil {
		return errNotRunning(s)
	}
	known, ok := t.host.change(s, change)
	switch {
	case !ok:
		return errNotRunning(s)
	case known:
		return nil
	default:
		return t.announce(ctx)
	}
}

func errNotRunning(s *Server) error {
	return invalidUse("server %q on topic %q does not run: start it first", s.target.Server, s.target.Topic)
}

// withdrawTimeout bounds how long a server that stops waits for the registry: one that is away forgets the server by itself.
const withdrawTimeout = 3 * time.Second

// withdrawServers ends the announcement of servers, of those that are announced still.
func (t *Transport) withdrawServers(ctx context.Context, servers ...*Server) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.host == nil || !t.host.leave(servers) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, withdrawTimeout)
	defer cancel()
	if err := t.announce(ctx); err != nil {
		t.config.log.Warn("registration was not withdrawn", "servers", len(servers), "error", err)
	}
}

func (t *Transport) removeServer(ctx context.Context, s *Server) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropServer(ctx, s)
}

// dropServer takes a server down, and the host with the last. The lock is held.
func (t *Transport) dropServer(ctx context.Context, s *Server) {
	t.host.remove(s)
	if len(t.host.members) == 0 {
		t.host.close(ctx)
		t.host = nil
	}
}
