package interception

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// row is a way to send a message.
type row struct {
	name string
	// sent and got are the deliveries that the client and the servers see.
	sent, got rpc.Delivery
	// service, method and version belong to the request. A typed stream opens at least at the
	// version of the client.
	service, method, version string
	monitored                bool
	// toAll is true if the message goes to every server.
	toAll bool
	// accepted is true if the sender does not learn the outcome of the method.
	accepted bool
	// anonymous is true if the message has no ID.
	anonymous bool
	send      func(ctx context.Context, c *oslorpc.Client) outcome
}

// outcome is what the sender of a message learns.
type outcome struct {
	err error
	// servers has the error for each server, if the message is for every server.
	servers map[string]error
}

const service = "typedtest.v1.InventoryService"

// rows are all ways to send a message.
func rows() []row {
	return []row{
		{name: "call", sent: rpc.DeliveryCall, got: rpc.DeliveryCall, method: "whoami", version: "1.1", send: call},
		{name: "monitored call", sent: rpc.DeliveryCall, got: rpc.DeliveryCall, method: "whoami", version: "1.1", monitored: true, send: monitoredCall},
		{name: "cast", sent: rpc.DeliveryCast, got: rpc.DeliveryCast, method: "note", version: "1.1", accepted: true, send: cast},
		{name: "fanout", sent: rpc.DeliveryFanout, got: rpc.DeliveryCast, method: "note", version: "1.1", accepted: true, toAll: true, send: fanout},
		{name: "gather", sent: rpc.DeliveryGather, got: rpc.DeliveryCall, method: "whoami", version: "1.1", toAll: true, send: gather},
		{
			name: "monitored gather", sent: rpc.DeliveryGather, got: rpc.DeliveryCall, method: "whoami", version: "1.1", toAll: true, monitored: true,
			send: monitoredGather,
		},
		{name: "multicall", sent: rpc.DeliveryMulticall, got: rpc.DeliveryMulticall, method: "count", version: "1.1", send: multicall},
		{
			name: "typed unary", sent: rpc.DeliveryCall, got: rpc.DeliveryCall, service: service, method: "GetVolume", version: "1.0", anonymous: true,
			send: typedCall,
		},
		{
			name: "typed cast", sent: rpc.DeliveryCast, got: rpc.DeliveryCast, service: service, method: "ReportUsage", version: "1.0", accepted: true,
			send: typedCast,
		},
		{
			name: "typed fanout", sent: rpc.DeliveryFanout, got: rpc.DeliveryCast, service: service, method: "InvalidateCache", version: "1.0",
			accepted: true, toAll: true, send: typedFanout,
		},
		{
			name: "typed server stream", sent: rpc.DeliveryMulticall, got: rpc.DeliveryMulticall, service: service, method: "WatchVolumes", version: "1.1",
			anonymous: true, send: serverStream,
		},
		{
			name: "typed client stream", sent: rpc.DeliveryStream, got: rpc.DeliveryStream, service: service, method: "ImportVolumes", version: "1.1",
			anonymous: true, send: clientStream,
		},
		{
			name: "typed stream both ways", sent: rpc.DeliveryStream, got: rpc.DeliveryStream, service: service, method: "SyncVolumes", version: "1.1",
			anonymous: true, send: bothWays,
		},
	}
}

// unexpected returns an outcome with an error if err is nil and the result is wrong.
func unexpected(err error, holds bool, got any) outcome {
	if err == nil && !holds {
		err = fmt.Errorf("got %v", got)
	}
	return outcome{err: err}
}

func call(ctx context.Context, c *oslorpc.Client) outcome {
	name, err := oslorpc.Call[string](ctx, c, "whoami", nil)
	return unexpected(err, name != "", name)
}

func monitoredCall(ctx context.Context, c *oslorpc.Client) outcome {
	return call(ctx, c.Prepare(oslorpc.WithCallMonitorTimeout(5*time.Second)))
}

func cast(ctx context.Context, c *oslorpc.Client) outcome {
	return outcome{err: c.Cast(ctx, "note", nil)}
}

func fanout(ctx context.Context, c *oslorpc.Client) outcome {
	report, err := c.Fanout(ctx, "note", nil)
	return reported(report, err)
}

func reported(report *oslorpc.Report, err error) outcome {
	if err != nil {
		return outcome{err: err}
	}
	o := outcome{servers: map[string]error{}}
	for _, list := range [][]oslorpc.FanoutResult{report.Accepted, report.Skipped, report.Failed} {
		for _, d := range list {
			o.servers[d.Instance.Server] = d.Err
		}
	}
	return o
}

func gather(ctx context.Context, c *oslorpc.Client) outcome {
	o := outcome{servers: map[string]error{}}
	for reply, err := range oslorpc.Gather[string](ctx, c, "whoami", nil) {
		if reply.Total == 0 {
			return outcome{err: err}
		}
		o.servers[reply.Instance.Server] = err
	}
	return o
}

func monitoredGather(ctx context.Context, c *oslorpc.Client) outcome {
	return gather(ctx, c.Prepare(oslorpc.WithCallMonitorTimeout(5*time.Second)))
}

func multicall(ctx context.Context, c *oslorpc.Client) outcome {
	n := 0
	for _, err := range oslorpc.Multicall[int](ctx, c, "count", nil) {
		if err != nil {
			return outcome{err: err}
		}
		n++
	}
	return unexpected(nil, n == 3, n)
}

func typedCall(ctx context.Context, c *oslorpc.Client) outcome {
	reply, err := v1.NewInventoryServiceClient(c).GetVolume(ctx, &v1.GetVolumeRequest{Name: "a"})
	return unexpected(err, reply.GetName() != "", reply)
}

func typedCast(ctx context.Context, c *oslorpc.Client) outcome {
	_, err := v1.NewInventoryServiceClient(c).ReportUsage(ctx, &v1.ReportUsageRequest{Name: "a"})
	return outcome{err: err}
}

func typedFanout(ctx context.Context, c *oslorpc.Client) outcome {
	report := &oslorpc.Report{}
	_, err := v1.NewInventoryServiceClient(c).InvalidateCache(ctx, &v1.InvalidateCacheRequest{Name: "a"}, oslorpc.FanoutReport(report))
	return reported(report, err)
}

// items receives all items of a stream.
func items[Item any](stream grpc.ServerStreamingClient[Item], err error) outcome {
	n := 0
	for ; err == nil; n++ {
		if _, err = stream.Recv(); errors.Is(err, io.EOF) {
			return unexpected(nil, n == 3, n)
		}
	}
	return outcome{err: err}
}

func serverStream(ctx context.Context, c *oslorpc.Client) outcome {
	return items(v1.NewInventoryServiceClient(c).WatchVolumes(ctx, &v1.WatchVolumesRequest{Prefix: "a"}))
}

func clientStream(ctx context.Context, c *oslorpc.Client) outcome {
	stream, err := v1.NewInventoryServiceClient(c).ImportVolumes(ctx)
	if err != nil {
		return outcome{err: err}
	}
	for n := 0; err == nil && n < 3; n++ {
		err = stream.Send(&v1.ImportVolumesRequest{Name: "a"})
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return outcome{err: err}
	}
	reply, err := stream.CloseAndRecv()
	return unexpected(err, reply.GetImported() == 3, reply)
}

func bothWays(ctx context.Context, c *oslorpc.Client) outcome {
	stream, err := v1.NewInventoryServiceClient(c).SyncVolumes(ctx)
	for n := 0; err == nil && n < 3; n++ {
		if err = stream.Send(&v1.SyncVolumesRequest{Name: "a"}); err == nil || errors.Is(err, io.EOF) {
			_, err = stream.Recv()
		}
	}
	if err == nil {
		err = stream.CloseSend()
	}
	if err != nil {
		return outcome{err: err}
	}
	if _, err = stream.Recv(); errors.Is(err, io.EOF) {
		err = nil
	}
	return outcome{err: err}
}
