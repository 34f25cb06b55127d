package oslorpc

import (
	"context"
	"errors"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/client"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
)

// Generated stubs work on a client.
var _ grpc.ClientConnInterface = (*Client)(nil)

// Invoke sends a message of a typed service, a program's own protobuf service. Generated stubs call
// it, as in inventorypb.NewInventoryClient(client).GetVolume(ctx, request).
//
// The client's target gives the receiver, by exchange, topic, server and fanout. Without a topic it
// is the topic of the service's options (oslorpc/v1/options.proto). Those options also give the
// namespace, and the version that a message needs: the highest `since` among its method, the fields
// that are set and their enum values. The namespace and the version of the client's target do not
// count. The client's cap, and the servers that the message can go to, are settled by that version,
// as for every message. What the options let be dropped for older peers is removed, on a copy, if
// no server that is meant serves it or the cap forbids it. Other fields make the message fail
// before it is sent, with an error that names the field and the version.
//
// A method whose delivery is a cast or a fanout returns when the message is accepted; see
// [FanoutReport]. Deadlines are as for [Call] and [Client.Cast]. [WithFailFast], or the call option
// grpc.WaitForReady, says whether the message waits for a server that takes it. Errors are an
// [*Error], and a gRPC status as well: the one that the method returned, or the one that the kind
// stands for.
func (c *Client) Invoke(ctx context.Context, path string, args, reply any, options ...grpc.CallOption) error {
	call := &client.TypedCall{Path: path, Message: args, Result: reply}
	translate(call, options)
	return withStatus(c.engine.Invoke(ctx, call))
}

// FanoutReport has a typed method whose delivery is a fanout tell what came of it at each server,
// once it has returned without an error, or with the error that all servers denied it. Generated
// stubs take it as a call option. Other methods leave report as it is.
func FanoutReport(report *Report) grpc.CallOption { return fanoutReport{report: report} }

type fanoutReport struct {
	grpc.EmptyCallOption

	report *Report
}

// translate puts call options into a message: the engine takes the options that it knows, and the
// others stay as they are.
func translate(call *client.TypedCall, options []grpc.CallOption) {
	for _, o := range options {
		switch o := o.(type) {
		case fanoutReport:
			call.Report = func(r *client.Report) { *o.report = *newReport(r) }
			continue
		case grpc.StaticMethodCallOption: // as all methods that the engine knows
			continue
		case grpc.FailFastCallOption:
			call.FailFast = &o.FailFast
			continue
		case grpc.HeaderCallOption, grpc.TrailerCallOption, grpc.PeerCallOption:
			call.Single = o
		}
		call.Options = append(call.Options, o)
	}
}

// withStatus returns an error as one that is a gRPC status as well.
func withStatus(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return rpcstatus.WithStatus(e, rpcstatus.StatusOf(e))
	}
	return err
}
