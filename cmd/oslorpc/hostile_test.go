//go:build unix

package main

import (
	"context"
	"encoding/json"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/internal/discovery/local"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// poison contains each kind of character that must not reach a terminal, and a line break.
const poison = "poison\x00\x08\x0d\x1b[31m\x7f\u0080\u009b31m\u061c\u200e\u200f\u2028\u202a\u202e\u2066\u2069\nFORGED\t"

// hostileTopic is a topic whose name is harmless, so that clients can send to it.
const hostileTopic = "evil"

// hostileFleet is a server that returns poison wherever it can return text, with instances whose
// names contain poison.
type hostileFleet struct {
	pb.UnimplementedRPCServiceServer
	pb.UnimplementedIntrospectionServiceServer
	methods []string // the names of its methods
}

// newHostileFleet starts the server and registers it in the registry of a fleet. The names are used
// for topics, servers and methods.
func newHostileFleet(t *testing.T, f *fleet, names ...string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hostileFleet{methods: names}
	server := grpc.NewServer()
	pb.RegisterRPCServiceServer(server, h)
	pb.RegisterIntrospectionServiceServer(server, h)
	healthpb.RegisterHealthServer(server, health.NewServer())
	go func() { _ = server.Serve(listener) }() // Stop ends it
	t.Cleanup(server.Stop)

	registry, err := local.Open(&url.URL{Scheme: "local", Path: f.dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = registry.Close(context.Background()) })
	var instances []rpc.Instance
	add := func(exchange, topic, server string) {
		instances = append(instances, rpc.Instance{
			ID: "boot" + poison + string(rune('a'+len(instances))), BootID: "boot" + poison, Exchange: exchange, Topic: topic, Server: server,
			Addr: listener.Addr().String(), State: rpc.StateActive,
			Implemented: []rpc.Implementation{{Version: rpc.DefaultVersion}, {Namespace: poison, Version: rpc.DefaultVersion}},
		})
	}
	add("openstack", hostileTopic, "node")
	for _, name := range names {
		add("openstack", hostileTopic, name)
		add("openstack", name, "node")
	}
	add(names[0], "evim"+names[0], names[0])
	if err := registry.Publish(t.Context(), instances); err != nil {
		t.Fatal(err)
	}
}

// answer is the behaviour of each method of the server. A method that is named after a kind of
// error fails with this kind. Other methods return poison.
func (*hostileFleet) answer(m *pb.Message) (*pb.Payload, error) {
	switch method := m.GetMethod(); method {
	case "json":
		text, err := json.Marshal(map[string]string{poison: poison})
		return &pb.Payload{Encoding: &pb.Payload_Json{Json: string(text)}}, err
	case "broken": // JSON has no control characters
		return &pb.Payload{Encoding: &pb.Payload_Json{Json: `"` + poison + `"`}}, nil
	case "value":
		return &pb.Payload{Encoding: &pb.Payload_Value{Value: structpb.NewStringValue(poison)}}, nil
	case "status":
		return nil, status.Error(codes.Unavailable, poison)
	default:
		return nil, poisonedStatus(pb.ErrorKind(pb.ErrorKind_value["ERROR_KIND_"+method]))
	}
}

func poisonedStatus(kind pb.ErrorKind) error {
	withDetail, err := status.New(codes.Unknown, poison).WithDetails(&pb.ErrorDetail{
		Kind: kind, NotStarted: kind != pb.ErrorKind_ERROR_KIND_REMOTE, Message: poison, Method: poison, Path: poison, Server: poison, InstanceId: poison,
		Implemented: []*pb.Implementation{{Namespace: new(poison), Version: poison}},
		Remote: &pb.RemoteError{
			Type: poison, Message: poison, Data: poison, Stack: []string{poison, poison}, Hops: []string{poison, poison},
		},
	})
	if err != nil {
		return err
	}
	return withDetail.Err()
}

func (h *hostileFleet) Call(_ context.Context, r *pb.CallRequest) (*pb.CallResponse, error) {
	result, err := h.answer(r.GetMessage())
	return &pb.CallResponse{Result: result}, err
}

func (h *hostileFleet) Cast(_ context.Context, r *pb.CastRequest) (*pb.CastResponse, error) {
	_, err := h.answer(r.GetMessage())
	return &pb.CastResponse{}, err
}

func (h *hostileFleet) Multicall(r *pb.MulticallRequest, stream grpc.ServerStreamingServer[pb.MulticallResponse]) error {
	item, err := h.answer(r.GetMessage())
	if err != nil {
		return err
	}
	return stream.Send(&pb.MulticallResponse{Item: item})
}

func (*hostileFleet) Ping(context.Context, *pb.PingRequest) (*pb.PingResponse, error) {
	return nil, status.Error(codes.Internal, poison)
}

func (h *hostileFleet) GetInfo(context.Context, *pb.GetInfoRequest) (*pb.GetInfoResponse, error) {
	var methods []*pb.MethodInfo
	for _, name := range h.methods {
		methods = append(methods, &pb.MethodInfo{
			Name: name, Result: name, Since: "1.0", DeprecatedSince: "1.0", Arguments: []*pb.ArgumentInfo{{Name: name, Type: name}},
		})
	}
	now := timestamppb.Now()
	policy := &pb.PolicyInfo{Rules: []*pb.RuleInfo{{Name: poison}}, Problem: poison}
	limits := []*pb.LimitInfo{{Reason: poison}}
	return &pb.GetInfoResponse{BootId: poison, Build: poison, Policy: policy, Limits: limits, Servers: []*pb.ServerInfo{{
		InstanceId: poison, Exchange: poison, Topic: hostileTopic, Server: poison, Uncounted: 1,
		Endpoints: []*pb.EndpointInfo{{
			Namespaces: []string{"", poison}, Version: "1.0", Methods: methods, Fallback: methods[0], Service: poison,
		}},
		Requests: []*pb.RequestCount{
			{Method: poison, Version: "1.0", Caller: poison, Identity: poison, Accepted: 1, Refused: 1, FirstSeen: now, LastSeen: now},
			{Namespace: poison, Method: poison, Version: "9.0", Caller: poison, Accepted: 1, FirstSeen: now, LastSeen: now},
		},
	}}}, nil
}

// hostileLines are the command lines that the hostile fleet answers, by command. Every command that
// sends requests to a fleet is listed here.
var hostileLines = map[string][]string{
	"ls":            {"", hostileTopic, "evimpoison"},
	"ping":          {hostileTopic, hostileTopic + " --server node"},
	"info":          {hostileTopic, "evimpoison"},
	"watch":         nil, // TestHostileFleetIsWatched
	"call":          {"json", "broken", "value", "status", "REMOTE", "FULL", "STOPPING", "BAD_ARGUMENTS", "NO_SUCH_METHOD", "UNSUPPORTED_VERSION", "MISDIRECTED", "future"},
	"cast":          {"json", "status", "FULL", "BAD_ARGUMENTS", "UNSUPPORTED_VERSION"},
	"fanout":        {"json", "status", "FULL", "NO_SUCH_METHOD", "UNSUPPORTED_VERSION", "REMOTE"},
	"multicall":     {"json", "broken", "value", "status", "REMOTE", "FULL"},
	"versions":      {hostileTopic},
	"versions why":  {hostileTopic, hostileTopic + " --target-version 9.0"},
	"upgrade check": {hostileTopic + " --to 1.0", hostileTopic + " --to 9.0", "evimpoison --to 1.0"},
	"deprecations":  {hostileTopic, hostileTopic + " --all"},
	"serve":         nil, // TestHostileCallers
}

// harmless are the commands that send nothing to a fleet.
var harmless = map[string]bool{
	"demo": true, "version": true, "upgrade": true, "completion": true, "help": true, "policy": true, "policy check": true, "policy test": true,
	"consul": true, "consul policy": true, "gateway": true, // it asks the fleet for others; internal/gateway tests it
}

func TestEveryCommandFacesTheHostileFleet(t *testing.T) {
	t.Parallel()
	root := rootCommand(&cli.Program{})
	for _, cmd := range root.Commands() {
		for _, c := range append(cmd.Commands(), cmd) {
			name := strings.TrimPrefix(c.CommandPath(), root.Name()+" ")
			if _, faced := hostileLines[name]; faced == harmless[name] {
				t.Errorf("the command %q is not in exactly one of the tables", name)
			}
		}
	}
}

func TestHostileFleet(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	newHostileFleet(t, f, poison)
	var poisoned atomic.Int64
	t.Run("lines", func(t *testing.T) { // which ends when all have run
		for command, lines := range hostileLines {
			for _, line := range lines {
				words := append(strings.Fields(command), strings.Fields(line)...)
				switch command {
				case "call", "cast", "fanout", "multicall":
					words = []string{command, hostileTopic, line, "--timeout", "300ms", "--fail-fast"}
				}
				for _, form := range []string{"text", "json"} {
					t.Run(strings.Join(words, " ")+" as "+form, func(t *testing.T) {
						t.Parallel()
						r := f.run(append(words, "--output", form)...)
						wantHarmless(t, r.out+r.errs)
						if form == "json" {
							wantDocuments(t, r)
						}
						poisoned.Add(int64(strings.Count(r.out+r.errs, `\u001b[31m\u007f`)))
					})
				}
			}
		}
	})
	if n := poisoned.Load(); n < 50 {
		t.Errorf("the output has the poison %d times only", n)
	}
}

func TestHostileFleetIsWatched(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"text", "json"} {
		f := newFleet(t)
		newHostileFleet(t, f, poison)
		watch := f.start("watch", "watch", "--output", form)
		for _, l := range f.find(4, "watch", "poison") {
			wantHarmless(t, l.Text)
		}
		if err := watch.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		watch.code()
	}
}

// wantHarmless fails the test if some output must not reach a terminal.
func wantHarmless(t *testing.T, output string) {
	t.Helper()
	for line := range strings.Lines(output) {
		line = strings.TrimSuffix(line, "\n")
		if strings.ContainsFunc(line, rpc.IsControl) {
			t.Errorf("control characters in %q", line)
		}
		if strings.HasPrefix(line, "FORGED") {
			t.Errorf("a line that a peer made: %q", line)
		}
	}
}

// wantDocuments fails the test unless each line is JSON that contains the poison unchanged.
func wantDocuments(t *testing.T, r result) {
	t.Helper()
	for line := range strings.Lines(r.out + r.errs) {
		var v any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Errorf("%v: %s", err, line)
		}
		wantPoisonKept(t, v)
	}
}

func wantPoisonKept(t *testing.T, v any) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		for key, member := range v {
			wantPoisonKept(t, key)
			wantPoisonKept(t, member)
		}
	case []any:
		for _, item := range v {
			wantPoisonKept(t, item)
		}
	case string:
		if strings.HasPrefix(v, "poison") && !strings.HasPrefix(v, poison) {
			t.Errorf("the poison became %q", v)
		}
	}
}
