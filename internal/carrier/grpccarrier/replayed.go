package grpccarrier

import (
	"errors"
	"io"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/rpcstatus"
)

// gRPC begins an RPC again, once, if the server proved that it did not process it. If the server
// ends the new RPC before gRPC has written the message again, gRPC 1.85 returns io.EOF to its
// caller, who takes that for the successful end of a stream.

// invoked returns the error of a unary RPC for which gRPC returned err. A unary RPC has no other
// reason for io.EOF.
func invoked(err error) error {
	if err == io.EOF { //nolint:errorlint // gRPC returns it as it is.
		return rpcstatus.ErrUnwritten
	}
	return err
}

// receive receives a message of a stream. At the end of the stream it receives once more: then gRPC
// returns the error of the RPC that it began last.
func receive(stream grpc.ClientStream, message any) error {
	err := stream.RecvMsg(message)
	if errors.Is(err, io.EOF) {
		err = stream.RecvMsg(message)
	}
	return err
}

// receive receives a message of a stream. Where there are interceptors, the witness receives once
// more, because it is next to gRPC.
func (e *evidence) receive(stream grpc.ClientStream, message any) error {
	if e.carrier.intercepted {
		return stream.RecvMsg(message)
	}
	return receive(stream, message)
}

// replayed is a stream that gRPC may have begun again.
type replayed struct{ grpc.ClientStream }

func (s replayed) RecvMsg(message any) error { return receive(s.ClientStream, message) }
