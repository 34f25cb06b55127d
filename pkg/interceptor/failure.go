package interceptor

import (
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// failure is an error of oslorpc that is a gRPC status as well, for programs that know only those.
//
// The status is without our detail. It may say that the method did not start, which a handler that returns the error of a call of
// its own would repeat to its caller, of whom it is not true.
type failure struct {
	ours   *rpc.Error
	status *status.Status
}

// Error returns the text of the error of oslorpc.
func (f *failure) Error() string { return f.ours.Error() }

// GRPCStatus makes it work with package status.
func (f *failure) GRPCStatus() *status.Status { return f.status }

// Unwrap lets errors.As find the error of oslorpc.
func (f *failure) Unwrap() error { return f.ours }

// fail returns an error that arose here as a failure.
func fail(e *rpc.Error) error {
	code := rpcstatus.Encode(e, nil).Code()
	if e.Kind == rpc.VersionCapExceeded { // a server never says so
		code = codes.FailedPrecondition
	}
	return &failure{ours: e, status: status.New(code, e.Error())}
}

// failWith is fail for any error: the options of a service may be wrong.
func failWith(err error, path string) error {
	e := mistake("%v", err)
	e.Method, e.Cause = path, err
	return fail(e)
}

// explain returns the error of a call as its caller sees it: a refusal by interceptors, or by a server of oslorpc, as an error of
// ours, and each other, such as a handler's own, as it is.
func explain(err error, target rpc.Target, method string) error {
	if err == nil || detailOf(err) == nil {
		return err
	}
	e := rpcstatus.Decode(err, true)
	e.Target, e.Method = target, method
	st, _ := status.FromError(err)
	return &failure{ours: e, status: withoutDetail(st)}
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

func withoutDetail(st *status.Status) *status.Status {
	p := st.Proto()
	p.Details = slices.DeleteFunc(p.GetDetails(), func(d *anypb.Any) bool { return d.MessageIs((*pb.ErrorDetail)(nil)) })
	return status.FromProto(p)
}
