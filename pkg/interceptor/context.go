package interceptor

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/internal/typed"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// request is a request that this server accepted.
type request struct {
	method *typed.Method
	header header.Request
}

type requestKey struct{}

// TargetFrom returns, within a handler, the target of the request, with its version. Fields that
// the request did not send are empty. Ok is false if the service has no rules, or the server has no
// interceptor of this package.
func TargetFrom(ctx context.Context) (target rpc.Target, ok bool) {
	r, ok := ctx.Value(requestKey{}).(*request)
	if !ok {
		return rpc.Target{}, false
	}
	return r.target(), true
}

func (r *request) version() rpc.Version {
	if r.header.HasVersion {
		return r.header.Version
	}
	return implied(r.method)
}

func (r *request) target() rpc.Target {
	t := rpc.Target{
		Exchange: r.header.Exchange, Topic: r.header.Topic, Server: r.header.Server,
		Namespace: r.method.Service.Namespace, Version: r.version().String(),
	}
	if t.Topic == "" {
		t.Topic = r.method.Service.Topic
	}
	return t
}

// names returns the target's names as the client sent them, unchecked.
func (r *request) names() rpc.Target {
	return rpc.Target{Exchange: r.header.Exchange, Topic: r.header.Topic, Server: r.header.Server}
}
