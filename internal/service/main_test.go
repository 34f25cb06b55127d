package service

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/internal/payload"
	"github.com/oslorpc/oslorpc/internal/phase"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestMain(m *testing.M) { leak.Main(m) }

const maxSize = 1000

// fleet is a process that serves on a loopback address, with clients.
type fleet struct {
	pb.RPCServiceClient
	pb.IntrospectionServiceClient

	intake   *intake.Intake
	services *Services
}

// serve returns a process with the servers. Everything ends with the test.
func serve(tb testing.TB, servers ...*intake.Server) *fleet {
	tb.Helper()
	return serveWith(tb, nil, servers...)
}

// serveWith is like serve, with options of the program.
func serveWith(tb testing.TB, options []grpc.ServerOption, servers ...*intake.Server) *fleet {
	tb.Helper()
	in := newIntake(nil, servers...)
	listener, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	server := grpc.NewServer(append(options, grpc.MaxRecvMsgSize(8*maxSize))...)
	services := New(in)
	services.Register(server, len(options) > 0)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		if err := <-served; err != nil {
			tb.Error(err)
		}
	})
	return &fleet{pb.NewRPCServiceClient(conn), pb.NewIntrospectionServiceClient(conn), in, services}
}

// newIntake returns the intake of a process with servers.
func newIntake(interceptors []rpc.Interceptor, servers ...*intake.Server) *intake.Intake {
	in := intake.New(intake.Config{
		BootID: "b1", Exchange: rpc.DefaultExchange, MaxSize: maxSize, Interceptors: interceptors, Log: slog.New(slog.DiscardHandler),
	})
	in.SetServers(servers)
	return in
}

type methods = map[string]*dispatch.Method

// newServer returns a server with methods in the default namespace at version 1.0. Its instance is
// "b1." and its name.
func newServer(tb testing.TB, topic, name string, m methods) *intake.Server {
	tb.Helper()
	return newServerOf(tb, topic, name, dispatch.DefaultLimits, dispatch.Endpoint{
		Namespaces: []string{""}, Version: rpc.DefaultVersion, Methods: m,
	})
}

func newServerOf(tb testing.TB, topic, name string, limits dispatch.Limits, endpoints ...dispatch.Endpoint) *intake.Server {
	tb.Helper()
	table := dispatch.NewTable(endpoints)
	d := dispatch.New(dispatch.Config{
		Name: name, Table: table, Limits: limits, Phase: phase.Opened(), Log: slog.New(slog.DiscardHandler),
	})
	tb.Cleanup(func() {
		if err := d.Stop(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return &intake.Server{Dispatch: d, Instance: rpc.Instance{
		ID: "b1." + name, BootID: "b1", Exchange: rpc.DefaultExchange, Topic: topic, Server: name,
		State: rpc.StateActive, Implemented: table.Implemented(),
	}}
}

// function returns a method that takes a struct or another type of arguments.
func function[A, R any](f func(context.Context, A) (R, error)) *dispatch.Method {
	return &dispatch.Method{Bind: func(kwargs string) (dispatch.Invocation, error) {
		var args A
		if err := payload.UnmarshalArgs(kwargs, &args); err != nil {
			return nil, err
		}
		return func(ctx context.Context, emit dispatch.Emit) error {
			result, err := f(ctx, args)
			if err != nil {
				return &dispatch.MethodError{Err: err}
			}
			text, err := payload.Marshal(result, rpc.BadResult)
			if err != nil {
				return err
			}
			return emit(text)
		}, nil
	}}
}

// echo returns its arguments unchanged.
func echo() *dispatch.Method {
	return function(func(_ context.Context, args payload.Raw) (payload.Raw, error) { return args, nil })
}

func text(s string) *dispatch.Method {
	return function(func(context.Context, payload.Raw) (payload.Raw, error) { return payload.Raw(s), nil })
}

// items is a streaming method.
func items(list ...string) *dispatch.Method {
	return &dispatch.Method{Streaming: true, Bind: func(string) (dispatch.Invocation, error) {
		return func(_ context.Context, emit dispatch.Emit) error {
			for _, item := range list {
				if err := emit(item); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}}
}

// turnstile is a method that reports when it runs, and waits.
type turnstile struct{ entered, open chan struct{} }

func newGate() *turnstile { return &turnstile{make(chan struct{}, 1000), make(chan struct{})} }

func (g *turnstile) method() *dispatch.Method {
	return function(func(ctx context.Context, _ payload.Raw) (string, error) {
		g.entered <- struct{}{}
		select {
		case <-g.open:
			return "done", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	})
}

func to(topic string) *pb.Target { return &pb.Target{Topic: new(topic)} }

func asJSON(s string) *pb.Payload { return &pb.Payload{Encoding: &pb.Payload_Json{Json: s}} }

func asValue(t *testing.T, s string) *pb.Payload {
	t.Helper()
	v, err := payload.ToValue(s, rpc.BadArguments)
	if err != nil {
		t.Fatal(err)
	}
	return &pb.Payload{Encoding: &pb.Payload_Value{Value: v}}
}

// encoding returns the name of a payload's encoding, and its text.
func encoding(t *testing.T, p *pb.Payload) (name, text string) {
	t.Helper()
	switch e := p.GetEncoding().(type) {
	case *pb.Payload_Json:
		return "json", e.Json
	case *pb.Payload_Value:
		text, err := payload.FromValue(e.Value, rpc.BadResult)
		if err != nil {
			t.Fatal(err)
		}
		return "value", text
	default:
		return "none", ""
	}
}

// check fails the test unless err, the error of an RPC, has a detail with this kind and NotStarted,
// and its message contains all parts.
func check(t *testing.T, err error, kind rpc.Kind, notStarted bool, parts ...string) *rpc.Error {
	t.Helper()
	if err == nil {
		t.Fatalf("want an error of kind %s, got none", kind.Name())
	}
	e := rpcstatus.Decode(err, true)
	if errors.Is(e, err) {
		t.Errorf("the error has no detail: %v", err)
	}
	if e.Kind != kind || e.NotStarted != notStarted {
		t.Errorf("want %s with NotStarted %v, got %s with %v: %v", kind.Name(), notStarted, e.Kind.Name(), e.NotStarted, e)
	}
	for _, part := range parts {
		if !strings.Contains(e.Message, part) {
			t.Errorf("the message lacks %q: %s", part, e.Message)
		}
	}
	return e
}

// attempt sends the same message in each of the four forms and returns the error of each.
func (f *fleet) attempt(t *testing.T, m *pb.CallRequest) map[string]error {
	t.Helper()
	_, call := f.Call(t.Context(), m)
	_, cast := f.Cast(t.Context(), &pb.CastRequest{Message: m.GetMessage()})
	_, multicall := f.multicall(t.Context(), &pb.MulticallRequest{Message: m.GetMessage()})
	_, _, monitored := f.monitored(t.Context(), &pb.MonitoredCallRequest{Message: m.GetMessage()})
	return map[string]error{"call": call, "cast": cast, "multicall": multicall, "monitored call": monitored}
}

// multicall reads a stream to its end.
func (f *fleet) multicall(ctx context.Context, m *pb.MulticallRequest) ([]*pb.MulticallResponse, error) {
	stream, err := f.Multicall(ctx, m)
	if err != nil {
		return nil, err
	}
	return drain(stream)
}

// monitored returns the number of heartbeats and the response.
func (f *fleet) monitored(ctx context.Context, m *pb.MonitoredCallRequest) (heartbeats int, response *pb.CallResponse, err error) {
	stream, err := f.MonitoredCall(ctx, m)
	if err != nil {
		return 0, nil, err
	}
	all, err := drain(stream)
	for i, r := range all {
		if r.GetHeartbeat() != nil {
			heartbeats++
		} else if response = r.GetResponse(); i < len(all)-1 {
			return 0, nil, errors.New("something follows the response")
		}
	}
	return heartbeats, response, err
}

// drain reads a stream to its end.
func drain[T any](stream grpc.ServerStreamingClient[T]) (all []*T, err error) {
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, m)
	}
}

// detailOf returns the detail of an RPC's error.
func detailOf(t *testing.T, err error) *pb.ErrorDetail {
	t.Helper()
	for _, d := range status.Convert(err).Details() {
		if detail, ok := d.(*pb.ErrorDetail); ok {
			return detail
		}
	}
	t.Fatalf("there is no detail in %v", err)
	return nil
}
