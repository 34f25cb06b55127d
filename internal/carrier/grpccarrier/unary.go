package grpccarrier

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/wire"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// unary is one running call or cast. All its parts are in one allocation. It does not use the
// generated client, which would make three more.
type unary[Request, Response any] struct {
	request  Request
	response Response
	evidence evidence
	options  [3]grpc.CallOption
}

// usual is a call whose messages package wire encodes.
type usual = unary[wire.Request, wire.Response]

// spare has successful calls for reuse.
var spare = sync.Pool{New: func() any { return &usual{} }}

// isUsual reports whether a request can be sent without generated code: package wire can encode it,
// and no code of the program stands between us and gRPC.
func (c *Carrier) isUsual(r *carrier.Request) bool { return !c.intercepted && r.Missed == 0 }

// call runs a method and returns its result.
func (l Link) call(ctx context.Context, conn *grpc.ClientConn, r *carrier.Request) (carrier.Reply, error) {
	if !l.carrier.isUsual(r) {
		return l.generatedCall(ctx, conn, r)
	}
	u := spare.Get().(*usual)
	fill(&u.request, r)
	if err := u.invoke(ctx, l.carrier, conn, r, pb.RPCService_Call_FullMethodName, &u.request, &u.response); err != nil {
		return carrier.Reply{}, err
	}
	result, full := u.response.Result, u.response.Full
	*u = usual{} // gRPC is done with it: a failed call might still be written
	spare.Put(u)
	if full == nil {
		return carrier.Reply{Result: result}, nil
	}
	result, err := resultText(full.GetResult())
	return carrier.Reply{Result: result}, err
}

// cast returns when the server has accepted the message.
func (l Link) cast(ctx context.Context, conn *grpc.ClientConn, r *carrier.Request) error {
	if !l.carrier.isUsual(r) {
		return l.generatedCast(ctx, conn, r)
	}
	u := &unary[wire.Request, pb.CastResponse]{}
	fill(&u.request, r)
	return u.invoke(ctx, l.carrier, conn, r, pb.RPCService_Cast_FullMethodName, &u.request, &u.response)
}

// fill fills the message to send from a request.
func fill(to *wire.Request, r *carrier.Request) {
	to.Reset()
	to.Target, to.Method, to.ID, to.InstanceID, to.OrderKey = r.Target, r.Method, r.ID, r.InstanceID, r.OrderKey
	to.Kwargs, to.Context, to.Caller = r.Kwargs, r.Context, r.Caller
}

// generatedCall is call with generated messages, which interceptors can read.
func (l Link) generatedCall(ctx context.Context, conn *grpc.ClientConn, r *carrier.Request) (carrier.Reply, error) {
	var e envelope
	u := &unary[pb.CallRequest, pb.CallResponse]{}
	u.request.Message = e.fill(r)
	if err := u.invoke(ctx, l.carrier, conn, r, pb.RPCService_Call_FullMethodName, &u.request, &u.response); err != nil {
		return carrier.Reply{}, err // an interceptor that returned early may still have the response written to
	}
	result, err := resultText(u.response.GetResult())
	return carrier.Reply{Result: result}, err
}

// generatedCast is cast with generated messages.
func (l Link) generatedCast(ctx context.Context, conn *grpc.ClientConn, r *carrier.Request) error {
	var e envelope
	u := &unary[pb.CastRequest, pb.CastResponse]{}
	u.request.Message = e.fill(r)
	return u.invoke(ctx, l.carrier, conn, r, pb.RPCService_Cast_FullMethodName, &u.request, &u.response)
}

// invoke sends the RPC. Request and response are the messages in u; invoke cannot use u's fields as
// proto.Message, because their types are parameters.
func (u *unary[Request, Response]) invoke(
	ctx context.Context, c *Carrier, conn *grpc.ClientConn, r *carrier.Request, method string, request, response proto.Message,
) error {
	e := &u.evidence
	e.carrier, e.contract = c, true
	err := e.invoke(c.headed(ctx, r), conn, method, request, response, c.options(u.options[:0], e)...)
	tellPeer(r, &e.opened)
	if err != nil {
		return e.error(ctx, err)
	}
	return nil
}

// options appends the call options of an RPC of the library's protocol. If the program has its own
// options, ours are only defaults, which they can override.
func (c *Carrier) options(to []grpc.CallOption, e *evidence) []grpc.CallOption {
	to = append(to, grpc.StaticMethod(), grpc.Peer(&e.opened))
	if !c.intercepted {
		to = append(to, c.limit)
	}
	return to
}
