package rpcapi

import (
	"context"
	"errors"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// baseNamespace is the namespace of the methods that all services have.
const baseNamespace = "baseapi"

// BaseAPI is the client side of the API of every service.
//
// API version history:
//
//	1.0 - Initial version, with ping
//
// 1.1 added get_backdoor_port, to debug Python.
type BaseAPI struct{ client *oslorpc.Client }

// NewBaseAPI returns the client side for the services on a topic.
func NewBaseAPI(t *oslorpc.Transport, topic string) *BaseAPI {
	return &BaseAPI{t.Client(oslorpc.Target{Topic: topic, Namespace: baseNamespace, Version: "1.0"})}
}

// Ping pings any service on the topic. The answer repeats arg.
func (a *BaseAPI) Ping(ctx context.Context, arg string, timeout time.Duration) (Pong, error) {
	return oslorpc.Call[Pong](ctx, a.client.Prepare(oslorpc.WithTimeout(timeout)), "ping", PingArgs{Arg: arg})
}

// These are the timeouts of a service that waits for another service. The first is short, so that a
// missing service is reported soon.
const (
	earlyPingTimeout  = 10 * time.Second
	earlyPingAttempts = 10
)

// WaitUntilReady waits until a service on the topic answers, for as long as ctx lasts. It calls
// missing after each failed attempt.
func (a *BaseAPI) WaitUntilReady(ctx context.Context, missing func(error)) error {
	for attempt := 1; ; attempt++ {
		timeout := earlyPingTimeout
		if attempt > earlyPingAttempts {
			timeout = defaultResponseTimeout
		}
		_, err := a.Ping(ctx, "are you there?", timeout)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, oslorpc.Timeout), oslorpc.IsNotDelivered(err), errors.Is(err, oslorpc.OutcomeUnknown):
			missing(err)
		default:
			return err // no time would mend it
		}
	}
}

// Pong is the answer to a ping.
type Pong struct {
	Service string `json:"service"`
	Arg     string `json:"arg"`
}

// PingArgs are the arguments of ping.
type PingArgs struct {
	Arg string `json:"arg"`
}

// BaseRPCAPI returns the endpoint of a service.
func BaseRPCAPI(service string) oslorpc.Endpoint {
	return oslorpc.Endpoint{Namespace: baseNamespace, Version: "1.0", Methods: map[string]oslorpc.Method{
		"ping": oslorpc.Func(func(_ context.Context, args PingArgs) (Pong, error) {
			return Pong{Service: service, Arg: args.Arg}, nil
		}),
	}}
}
