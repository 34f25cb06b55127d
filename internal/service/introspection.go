package service

import (
	"context"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/gate"
	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/limits"
	"github.com/oslorpc/oslorpc/internal/phase"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Ping answers if this process has the instance, and the instance is not stopping.
func (s *Services) Ping(ctx context.Context, m *pb.PingRequest) (*pb.PingResponse, error) {
	if err := header.Disagreement(ctx, header.Instance, m.GetInstanceId()); err != nil {
		return nil, statusOf(invalid(err.Error()), nil)
	}
	err := s.intake.Ping(ctx, &intake.Inspection{
		Method: "Ping", InstanceID: m.GetInstanceId(), Origin: originOf(ctx, nil), Caller: callerOf(ctx),
	})
	if err != nil {
		return nil, statusOf(rpcstatus.Relayed(err), nil)
	}
	return &pb.PingResponse{}, nil
}

// errSilent is the error of a process that does not describe itself. Its text tells operators where
// to look.
var errSilent = refusal.Denied("the server describes itself to no program: introspection is hidden (trust.Config.Hide)")

// GetInfo describes the process and its servers, unless the process hides that.
func (s *Services) GetInfo(ctx context.Context, m *pb.GetInfoRequest) (*pb.GetInfoResponse, error) {
	if err := header.Disagreement(ctx, header.Topic, m.GetTopic()); err != nil {
		return nil, statusOf(invalid(err.Error()), nil)
	}
	question := &intake.Inspection{
		Method: "GetInfo", Topic: m.Topic, InstanceID: m.GetInstanceId(), Requests: m.GetRequests(), Origin: originOf(ctx, nil), Caller: callerOf(ctx),
	}
	switch other, err := s.intake.Info(ctx, question); other := other.(type) {
	case *pb.GetInfoResponse:
		return other, nil
	default:
		if err != nil {
			return nil, statusOf(rpcstatus.Relayed(err), nil)
		}
	}
	question.InstanceID = "" // its process is described, with other servers on the topic
	view, err := s.intake.Inspect(ctx, question)
	if err != nil {
		return nil, statusOf(err, nil)
	}
	if s.silent {
		return nil, statusOf(errSilent, nil)
	}
	info := &pb.GetInfoResponse{
		BootId: s.intake.BootID(), ProcessId: int64(os.Getpid()), Build: build(),
		Uptime: durationpb.New(time.Since(s.started)), Zone: s.zone,
	}
	info.Policy, info.Limits = policyInfo(view.Policy), limitInfos(view.Refusals)
	if view.Whole {
		info.Sessions = s.sessions.info()
		info.Gateway = s.gatewayInfo()
	}
	for _, server := range view.Servers {
		described := describe(server)
		if m.GetRequests() {
			described.Requests, described.Uncounted = requests(server.Dispatch)
		}
		info.Servers = append(info.Servers, described)
	}
	return info, nil
}

// gatewayInfo describes what the process does as a gateway, nil if it is none.
func (s *Services) gatewayInfo() *pb.GatewayInfo {
	if !s.gateway {
		return nil
	}
	c := s.intake.Counts()
	return &pb.GatewayInfo{
		Forwarding: c.Forwarding, Forwarded: c.Forwarded, Failed: c.Failed, Watches: c.Watches, Attached: c.Attached,
	}
}

func policyInfo(r *gate.Report) *pb.PolicyInfo {
	if r == nil {
		return nil
	}
	info := &pb.PolicyInfo{
		DryRun: r.DryRun, Since: timestamppb.New(r.Since), Denied: r.Denied, WouldDeny: r.WouldDeny, Problem: r.Problem,
	}
	for _, rule := range r.Rules {
		info.Rules = append(info.Rules, &pb.RuleInfo{Name: rule.Name, Allowed: rule.Allowed})
	}
	return info
}

func limitInfos(refusals map[limits.Reason]int64) (list []*pb.LimitInfo) {
	for _, why := range slices.Sorted(maps.Keys(refusals)) {
		list = append(list, &pb.LimitInfo{Reason: string(why), Refused: refusals[why]})
	}
	return list
}

func build() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

func describe(s *intake.Server) *pb.ServerInfo {
	load := s.Dispatch.Load()
	info := &pb.ServerInfo{
		InstanceId: s.Instance.ID, Exchange: s.Instance.Exchange, Topic: s.Instance.Topic, Server: s.Instance.Server,
		State: state(s.Dispatch.Phase()), Running: load.Running, Queued: load.Queued, Refused: load.Refused,
	}
	s.Dispatch.Table().Endpoints(func(e dispatch.Endpoint, counters map[string]*dispatch.Counters) {
		endpoint := &pb.EndpointInfo{
			Namespaces: e.Namespaces, Version: e.Version.String(), Since: said(e.Since), DeprecatedSince: said(e.Deprecated),
			Service: e.Service,
		}
		for _, name := range slices.Sorted(maps.Keys(e.Methods)) {
			endpoint.Methods = append(endpoint.Methods, describeMethod(name, e.Methods[name], counters[name]))
		}
		if e.Fallback != nil {
			endpoint.Fallback = describeMethod("", e.Fallback, counters[""])
		}
		info.Endpoints = append(info.Endpoints, endpoint)
	})
	return info
}

func state(p phase.Phase) pb.State {
	switch {
	case p.IsEnding():
		return pb.State_STATE_STOPPING
	case p == phase.Held:
		return pb.State_STATE_HELD
	case p == phase.Draining:
		return pb.State_STATE_DRAINING
	default:
		return pb.State_STATE_ACTIVE
	}
}

func describeMethod(name string, m *dispatch.Method, counters *dispatch.Counters) *pb.MethodInfo {
	info := &pb.MethodInfo{
		Name: name, Streaming: m.Streaming, ExtraArguments: m.Extra, Result: m.Result,
		Started: counters.Started.Load(), Failed: counters.Failed.Load(),
		Since: said(m.Since), DeprecatedSince: said(m.Deprecated),
	}
	for _, a := range m.Arguments {
		info.Arguments = append(info.Arguments, &pb.ArgumentInfo{Name: a.Name, Type: a.Type, Optional: a.Optional})
	}
	return info
}

// said returns a version that a program may have left out.
func said(v rpc.Version) string {
	if v == (rpc.Version{}) {
		return ""
	}
	return v.String()
}

// requests returns which callers asked a server for what, and how many messages that leaves out.
func requests(s *dispatch.Dispatcher) (list []*pb.RequestCount, uncounted int64) {
	counts, uncounted := s.Requests()
	list = make([]*pb.RequestCount, len(counts))
	for i, c := range counts {
		list[i] = &pb.RequestCount{
			Namespace: c.Namespace, Method: c.Method, Version: c.Version.String(), Caller: c.Caller, Identity: c.Identity,
			Accepted: c.Accepted, Refused: c.Refused, FirstSeen: timestamppb.New(c.First), LastSeen: timestamppb.New(c.Last),
		}
	}
	return list, uncounted
}
