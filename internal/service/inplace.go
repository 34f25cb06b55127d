package service

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// inPlace runs the method on the goroutine that gRPC has for the RPC, if the server can still
// answer when the method ends that goroutine. That saves two switches between goroutines. If the
// method does end it, gRPC's work after the handler does not happen, so the program must not depend
// on that work.
func (in *incoming) inPlace() {
	if in.answerer() != nil {
		in.InPlace = in
	}
}

// answerer is a stream of gRPC that takes the status of its RPC, as gRPC's own does. A stream must
// get one status.
type answerer interface {
	WriteStatus(st *status.Status) error
}

// answerer returns the stream of the RPC that carries the message, nil if it takes no status.
// Without it, methods run on goroutines of their own; a test fails then.
func (in *incoming) answerer() answerer {
	stream, _ := grpc.ServerTransportStreamFromContext(in.ctx).(answerer)
	return stream
}

// Exited implements [dispatch.Exiter]. The handler does not return, so gRPC sends no status.
func (in *incoming) Exited(err error) {
	st, _ := status.FromError(in.exited(err))
	_ = in.answerer().WriteStatus(st) // if it fails, the caller is gone
}

// exited returns the status for a message whose method ended its goroutine.
func (in *incoming) exited(err error) error {
	if err = in.Sign(err); in.Typed.Service != "" {
		return in.typedStatus(err)
	}
	return in.status(err)
}
