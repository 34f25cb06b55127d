package httpfront

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	// headerTimeout is how long a client may take to send the headers of a request. IdleTimeout is
	// how long a connection may wait for the next request.
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	// maxHeader bounds the headers of a request, in bytes.
	maxHeader = 64 << 10
)

// Server serves a handler on a listener.
type Server struct {
	handler *Handler
	server  *http.Server
}

// Server returns a server for the handler.
func (h *Handler) Server() *Server {
	return &Server{h, &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(h.front.Log.Handler(), slog.LevelDebug),
	}}
}

// Serve answers requests until Shutdown, and closes the listener.
func (s *Server) Serve(l net.Listener) error {
	if err := s.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Leave makes the handler refuse new messages; see [Handler.Stop].
func (s *Server) Leave() { s.handler.Stop() }

// Shutdown refuses new messages and returns when the requests in progress have ended. If ctx ends
// first, it closes all connections, which cancels these requests, and returns the error of ctx.
func (s *Server) Shutdown(ctx context.Context) error {
	s.handler.Stop()
	err := s.server.Shutdown(ctx)
	if err != nil {
		_ = s.server.Close() // Shutdown's error is the one to return
	}
	return err
}
