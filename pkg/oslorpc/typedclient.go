package oslorpc

import (
	"context"
	"errors"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/client"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
)

// Generated stubs accept a *Client as their connection.
var _ grpc.ClientConnInterface = (*Client)(nil)

// Invoke sends a message of a typed service, a program's own protobuf service. Generated stubs call
// it, as in inventorypb.NewInventoryClient(client).GetVolume(ctx, request).
//
// The client's target gives the receiver: exchange, topic, server and fanout. Without a topic, the
// topic of the service's options (oslorpc/v1/options.proto) applies. Those options also give the
// namespace, and the version that a message needs: the highest `since` among its method, the fields
// that are set and their enum values. The namespace and the version of the client's target are
// ignored.
//
// As for every message, this version is compared with the client's cap and with the versions of the
// servers. If the cap forbids it, or no possible server serves it, Invoke removes the fields that
// the options allow to be dropped for older peers; it does so on a copy. If other fields need the
// version, the message fails before it is sent, with an error that names the field and the version.
//
// A method whose delivery is a cast or a fanout returns when the message is accepted; see
// [FanoutReport]. Deadlines are as for [Call] and [Client.Cast]. [WithFailFast], or the call option
// grpc.WaitForReady, says whether the message waits for a server that accepts it. Every error is
// both an [*Error] and a gRPC status: the status that the method returned, or the status for the
// error's kind.
func (c *Client) Invoke(ctx context.Context, path string, args, reply any, options ...grpc.CallOption) error {
	call := &client.TypedCall{Path: path, Message: args, Result: reply}
	translate(call, options)
	return withStatus(c.engine.Invoke(ctx, call))
}

// FanoutReport fills report with the outcome at each server, for a typed method whose delivery is a
// fanout. The report is complete when the method has returned without an error, or with the error
// that all servers denied the message. Generated stubs take it as a call option. Other methods
// leave report unchanged.
func FanoutReport(report *Report) grpc.CallOption { return fanoutReport{report: report} }

type fanoutReport struct {
	grpc.EmptyCallOption

	report *Report
}

// translate copies call options into a message. The engine handles the options that it knows. The
// other options stay as they are.
func translate(call *client.TypedCall, options []grpc.CallOption) {
	for _, o := range options {
		switch o := o.(type) {
		case fanoutReport:
			call.Report = func(r *client.Report) { *o.report = *newReport(r) }
			continue
		case grpc.StaticMethodCallOption: // ignored: it has no effect on a message
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

// withStatus makes an error a gRPC status as well.
func withStatus(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return rpcstatus.WithStatus(e, rpcstatus.StatusOf(e))
	}
	return err
}
