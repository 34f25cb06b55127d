package oslorpc

import "context"

// Release ends the hold of a server that was made with [WithHold]. The server runs the waiting
// messages in the order of arrival, and accepts new ones as an active server. If it is not held,
// Release does nothing.
//
// An error of kind [Invalid] means that the server does not run. Any other error means that the
// server was released, but discovery could not be updated; call Release again to retry the update.
// Ctx bounds the update of discovery.
func (s *Server) Release(ctx context.Context) error {
	return s.hosted.Release(ctx)
}

// Drain keeps messages for any server, and fanouts, away from the server. Messages by its name
// still reach it. It still runs the messages that it accepted. Drain lasts until [Server.Resume] or
// the end of the next Stop. It returns when discovery was updated. Clients learn of the change
// within moments, and may still send to the server until then. It returns the same errors as
// [Server.Release].
func (s *Server) Drain(ctx context.Context) error {
	return s.hosted.Drain(ctx)
}

// Resume ends [Server.Drain]. It returns the same errors as [Server.Release].
func (s *Server) Resume(ctx context.Context) error {
	return s.hosted.Resume(ctx)
}
