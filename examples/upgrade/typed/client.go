package typed

import (
	"context"

	"github.com/oslorpc/oslorpc/examples/upgrade"
	pb "github.com/oslorpc/oslorpc/examples/upgrade/typed/upgrade/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// ClientAPI is the client side of the interface at 1.2. No method sets the version that it needs:
// that follows from the fields of its request.
type ClientAPI struct {
	client *oslorpc.Client
	stub   pb.RemoteServiceClient
}

// NewClientAPI returns the client side on a transport. The options are the program's, for example a
// version cap from its configuration. The service's own options have the rest of the target.
func NewClientAPI(t *oslorpc.Transport, options ...oslorpc.ClientOption) *ClientAPI {
	c := t.Client(oslorpc.Target{}, options...)
	return &ClientAPI{c, pb.NewRemoteServiceClient(c)}
}

// Why explains the version cap.
func (c *ClientAPI) Why(ctx context.Context) (*oslorpc.CapReason, error) {
	return c.client.Prepare(oslorpc.WithTopic(upgrade.Topic), oslorpc.WithNamespace(Namespace)).Why(ctx)
}

// MyRemoteMethod calls MyRemoteMethod, which every server has.
func (c *ClientAPI) MyRemoteMethod(ctx context.Context, arg1, arg2 string) (upgrade.Answer, error) {
	r, err := c.stub.MyRemoteMethod(ctx, &pb.MyRemoteMethodRequest{Arg1: arg1, Arg2: arg2})
	return answer(r, err)
}

// MyRemoteMethod2 calls MyRemoteMethod2. The options of arg2 say that it is dropped for older
// servers.
func (c *ClientAPI) MyRemoteMethod2(ctx context.Context, arg1, arg2 string) (upgrade.Answer, error) {
	r, err := c.stub.MyRemoteMethod2(ctx, &pb.MyRemoteMethod2Request{Arg1: arg1, Arg2: &arg2})
	return answer(r, err)
}

// MyRemoteMethod2Strict is a dry run of MyRemoteMethod2. The options of EFFECT_DRY_RUN make the
// call fail rather than reach an older server, which would not know that it is a dry run.
func (c *ClientAPI) MyRemoteMethod2Strict(ctx context.Context, arg1, arg2 string) (upgrade.Answer, error) {
	r, err := c.stub.MyRemoteMethod2(ctx, &pb.MyRemoteMethod2Request{Arg1: arg1, Arg2: &arg2, Effect: pb.Effect_EFFECT_DRY_RUN})
	return answer(r, err)
}

// MyRemoteMethod2At11 sends the message of a client at 1.1. Such a client has the stub of an older
// release, and so cannot set arg2.
func (c *ClientAPI) MyRemoteMethod2At11(ctx context.Context, arg1 string) (upgrade.Answer, error) {
	r, err := c.stub.MyRemoteMethod2(ctx, &pb.MyRemoteMethod2Request{Arg1: arg1})
	return answer(r, err)
}

// answer returns the content of a response of either method.
func answer(r interface {
	GetAnswer() *pb.Answer
	GetArg2() string
}, err error,
) (upgrade.Answer, error) {
	if err != nil {
		return upgrade.Answer{}, err
	}
	a := r.GetAnswer()
	return upgrade.Answer{Server: a.GetServer(), Release: a.GetRelease(), Version: a.GetVersion(), Arg2: r.GetArg2()}, nil
}
