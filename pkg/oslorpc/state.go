package oslorpc

import "context"

// Release ends the hold of a server that was made with [WithHold]: it runs what waits, in the order
// of arrival, and everything that comes, and others take it for active. If it is not held, Release
// does nothing.
//
// An error of kind [Invalid] means that the server does not run. Any other means that it was
// released, and that others could not be told so; to try that again, call Release again. Ctx bounds
// the telling.
func (s *Server) Release(ctx context.Context) error {
	return s.hosted.Release(ctx)
}

// Drain keeps messages for any server, and fanouts, away from the server; it is still reached by
// name. It goes on with what it accepted. Drain lasts until [Server.Resume] or the end of the next
// Stop, and returns when discovery was told; clients learn of it within moments, and until then
// send as before. It returns the same errors as [Server.Release].
func (s *Server) Drain(ctx context.Context) error {
	return s.hosted.Drain(ctx)
}

// Resume ends [Server.Drain]. It returns the same errors as [Server.Release].
func (s *Server) Resume(ctx context.Context) error {
	return s.hosted.Resume(ctx)
}
