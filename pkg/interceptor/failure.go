package interceptor

import (
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// fail makes a local error a gRPC status as well.
func fail(e *rpc.Error) error { return rpcstatus.WithStatus(e, nil) }

// failWith is fail for an error of any type, such as invalid options of a service.
func failWith(err error, path string) error {
	e := mistake("%v", err)
	e.Method, e.Cause = path, err
	return fail(e)
}

// explain returns the error of a call for its caller. A refusal by interceptors, or by a server of
// oslorpc, becomes an [rpc.Error]. Any other error, such as a handler's own, stays unchanged.
func explain(err error, target rpc.Target, method string) error {
	if err == nil || detailOf(err) == nil {
		return err
	}
	e := rpcstatus.Decode(err, true)
	e.Target, e.Method = target, method
	st, _ := status.FromError(err)
	return rpcstatus.WithStatus(e, st)
}

// detailOf returns the oslorpc detail of an error, or nil if it has none.
func detailOf(err error) *pb.ErrorDetail {
	st, ok := status.FromError(err)
	if !ok {
		return nil
	}
	for _, d := range st.Details() {
		if detail, ok := d.(*pb.ErrorDetail); ok {
			return detail
		}
	}
	return nil
}
