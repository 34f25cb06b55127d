package service

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// gatewayService is GatewayService, for processes whose intake has a forwarder.
type gatewayService struct {
	pb.UnimplementedGatewayServiceServer

	services *Services
}

// readForAll takes in a message for all servers. The error is a status.
func (g *gatewayService) readForAll(ctx context.Context, m *pb.Message) (*incoming, error) {
	in := &incoming{}
	if err := in.read(ctx, m); err != nil {
		return nil, err
	}
	return in, nil
}

// Fanout has a message accepted by all servers.
func (g *gatewayService) Fanout(r *pb.FanoutRequest, stream grpc.ServerStreamingServer[pb.FanoutResponse]) error {
	in, err := g.readForAll(stream.Context(), r.GetMessage())
	if err != nil {
		return err
	}
	err = g.services.intake.Fanout(stream.Context(), &in.Message, func(c intake.Copy) error {
		response := &pb.FanoutResponse{Server: c.Instance.Server, InstanceId: c.Instance.ID}
		if c.Err == nil {
			response.Outcome = &pb.FanoutResponse_Accepted{Accepted: &pb.CastResponse{}}
		} else {
			response.Outcome = &pb.FanoutResponse_Status{Status: encodedStatus(c.Err)}
		}
		return sent(stream.Send(response))
	})
	if err != nil {
		return in.status(err)
	}
	return nil
}

// Gather runs a message at all servers.
func (g *gatewayService) Gather(r *pb.GatherRequest, stream grpc.ServerStreamingServer[pb.GatherResponse]) error {
	in, err := g.readForAll(stream.Context(), r.GetMessage())
	if err != nil {
		return err
	}
	kwargs := r.GetMessage().GetKwargs()
	err = g.services.intake.Gather(stream.Context(), &in.Message, func(c intake.Copy) error {
		response := &pb.GatherResponse{Server: c.Instance.Server, InstanceId: c.Instance.ID}
		var result *pb.Payload
		if c.Err == nil {
			result, c.Err = g.services.encode(c.Result, kwargs)
		}
		if c.Err == nil {
			response.Outcome = &pb.GatherResponse_Response{Response: &pb.CallResponse{Result: result}}
		} else {
			response.Outcome = &pb.GatherResponse_Status{Status: encodedStatus(c.Err)}
		}
		return sent(stream.Send(response))
	})
	if err != nil {
		return in.status(err)
	}
	return nil
}

// sent returns the error of sending an answer.
func sent(err error) error {
	if err == nil {
		return nil
	}
	return rpcstatus.Decode(err, true)
}

// encodedStatus returns an error as the bytes of a status.
func encodedStatus(err error) []byte {
	b, _ := proto.Marshal(rpcstatus.Encode(rpcstatus.Relayed(err), nil).Proto()) // a status can be encoded
	return b
}

// List returns the instances of all topics.
func (g *gatewayService) List(ctx context.Context, _ *pb.ListRequest) (*pb.ListResponse, error) {
	list, err := g.services.intake.List(ctx, question(ctx, "List"))
	if err != nil {
		return nil, statusOf(rpcstatus.Relayed(failure.NotStarted(err)), nil)
	}
	return &pb.ListResponse{Instances: encodedInstances(list), BootId: g.services.intake.BootID()}, nil
}

func question(ctx context.Context, method string) *intake.Inspection {
	return &intake.Inspection{Method: method, Origin: originOf(ctx, nil), Caller: callerOf(ctx)}
}

// Watch sends the instances of a topic. A client that does not read gets the latest update once it
// reads again.
func (g *gatewayService) Watch(r *pb.WatchRequest, stream grpc.ServerStreamingServer[pb.WatchResponse]) error {
	if r.Exchange != nil && r.GetExchange() == "" {
		return statusOf(invalid("`exchange` is present and empty: leave it out"), nil)
	}
	ctx, in := stream.Context(), g.services.intake
	news := &news{arrived: make(chan struct{}, 1)}
	ask := question(ctx, "Watch")
	ask.Topic = &r.Topic
	stop, err := in.Watch(ctx, ask, registry.Topic{Exchange: r.GetExchange(), Name: r.GetTopic()}, news.set)
	if err != nil {
		return statusOf(rpcstatus.Relayed(failure.NotStarted(err)), nil)
	}
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-in.Leaving():
			return statusOf(refusal.New(refusal.Stopping), nil)
		case <-news.arrived:
		}
		if err := stream.Send(watched(news.take(), in.BootID())); err != nil {
			return err
		}
	}
}

func watched(u registry.Update, bootID string) *pb.WatchResponse {
	response := &pb.WatchResponse{Reset_: u.Reset, BootId: bootID}
	if u.Err != nil {
		response.Error = failure.Text(u.Err)
		return response
	}
	response.Instances = encodedInstances(u.Instances)
	return response
}

// news is the last update of a watch.
type news struct {
	arrived chan struct{} // has an element while there is an update

	mu   sync.Mutex
	last registry.Update
}

func (n *news) set(u registry.Update) {
	n.mu.Lock()
	defer n.mu.Unlock()
	u.Reset = u.Reset || n.last.Reset
	n.last = u
	select {
	case n.arrived <- struct{}{}:
	default: // it has not been taken
	}
}

func (n *news) take() registry.Update {
	n.mu.Lock()
	defer n.mu.Unlock()
	last := n.last
	n.last.Reset = false
	return last
}

var wireStates = map[rpc.State]pb.State{
	rpc.StateActive: pb.State_STATE_ACTIVE, rpc.StateHeld: pb.State_STATE_HELD, rpc.StateDraining: pb.State_STATE_DRAINING,
}

// encodedInstances returns instances without their addresses.
func encodedInstances(list []rpc.Instance) []*pb.Instance {
	encoded := make([]*pb.Instance, len(list))
	for n, i := range list {
		encoded[n] = &pb.Instance{
			Id: i.ID, BootId: i.BootID, Exchange: i.Exchange, Topic: i.Topic, Server: i.Server,
			State: wireStates[i.State], Implemented: rpcstatus.Implementations(i.Implemented), Sessions: i.Sessions, Zone: i.Zone,
		}
	}
	return encoded
}

// Attach has a process attach its servers.
func (g *gatewayService) Attach(stream grpc.BidiStreamingServer[pb.AttachRequest, pb.AttachResponse]) error {
	ctx := stream.Context()
	from, claimed := originOf(ctx, nil), callerOf(ctx)
	return g.services.attachServers(stream, func(i *rpc.Instance) error { return g.services.intake.Attach(ctx, i, from, claimed) })
}
