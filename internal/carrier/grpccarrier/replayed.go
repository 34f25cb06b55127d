package grpccarrier

import (
	"errors"
	"io"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/rpcstatus"
)

// gRPC repeats an RPC once if the server proved that it did not process the first attempt. If the
// server ends the second attempt before gRPC has written the message again, gRPC 1.85 returns
// io.EOF to its caller, who takes it for the successful end of a stream.

// invoked converts the error of a unary RPC. A unary RPC returns io.EOF for no other reason.
func invoked(err error) error {
	if err == io.EOF { //nolint:errorlint // gRPC returns it as it is.
		return rpcstatus.ErrUnwritten
	}
	return err
}

// receive receives a message of a stream. After io.EOF it receives again: then gRPC returns the
// error of its last attempt.
func receive(stream grpc.ClientStream, message any) error {
	err := stream.RecvMsg(message)
	if errors.Is(err, io.EOF) {
		err = stream.RecvMsg(message)
	}
	return err
}

// receive receives a message of a stream. With interceptors, the witness receives again after
// io.EOF, because it is next to gRPC.
func (e *evidence) receive(stream grpc.ClientStream, message any) error {
	if e.carrier.intercepted {
		return stream.RecvMsg(message)
	}
	return receive(stream, message)
}

// replayed is a stream that gRPC may have repeated.
type replayed struct{ grpc.ClientStream }

func (s replayed) RecvMsg(message any) error { return receive(s.ClientStream, message) }
