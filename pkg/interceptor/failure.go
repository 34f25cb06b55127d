package interceptor

import (
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// fail returns an error that arose here as a failure.
func fail(e *rpc.Error) error { return rpcstatus.WithStatus(e, nil) }

// failWith is fail for any error: the options of a service may be wrong.
func failWith(err error, path string) error {
	e := mistake("%v", err)
	e.Method, e.Cause = path, err
	return fail(e)
}

// explain returns the error of a call as its caller sees it: a refusal by interceptors, or by a
// server of oslorpc, as an error of ours, and each other, such as a handler's own, as it is.
func explain(err error, target rpc.Target, method string) error {
	if err == nil || detailOf(err) == nil {
		return err
	}
	e := rpcstatus.Decode(err, true)
	e.Target, e.Method = target, method
	st, _ := status.FromError(err)
	return rpcstatus.WithStatus(e, st)
}

// detailOf returns what an error says in our terms; nil if it does not.
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
