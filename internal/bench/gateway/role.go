//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/pprof"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/oslorpc/oslorpc/internal/gateway"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// roleVariable is the environment variable that makes a process the server or the gateway.
const roleVariable = "OSLORPC_BENCH_ROLE"

const topic, method = "bench", "do"

// play runs a role until the input of the process ends. The arguments are the URL of the registry
// and, for the gateway, the file of a profile, which may be empty. play prints the address of the
// process.
func play(ctx context.Context, role string, args []string) error {
	if role == "server" {
		return serve(ctx, args[0])
	}
	if args[1] != "" {
		file, err := os.Create(args[1]) //nolint:gosec // A flag names it.
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	return forward(ctx, args[0])
}

// serve runs a server of oslorpc and a server of plain gRPC.
func serve(ctx context.Context, url string) error {
	t, err := oslorpc.Open(url, oslorpc.WithListen("127.0.0.1:0"))
	if err != nil {
		return err
	}
	defer t.Close()
	s := t.Server(oslorpc.Target{Topic: topic, Server: "a"})
	s.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		method: oslorpc.Func(func(_ context.Context, args oslorpc.Raw) (oslorpc.Raw, error) { return args, nil }),
	}})
	if err := s.Start(ctx); err != nil {
		return err
	}
	var listening net.ListenConfig
	l, err := listening.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	raw := grpc.NewServer()
	raw.RegisterService(&rawDesc, nil)
	defer raw.Stop()
	go func() { _ = raw.Serve(l) }() // the client sees failures
	i, _ := s.Instance()
	return ready(i.Addr, l.Addr().String())
}

// rawDesc is an echo service that is written by hand with grpc-go.
var rawDesc = grpc.ServiceDesc{
	ServiceName: "bench.Raw",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Unary", Handler: func(
		_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor,
	) (any, error) {
		m := &wrapperspb.BytesValue{}
		return m, decode(m)
	}}},
}

// forward runs a gateway, like the command oslorpc gateway.
func forward(ctx context.Context, url string) error {
	g := gateway.New()
	g.OwnProcess()
	t, err := oslorpc.Open(url, asGateway{oslorpc.WithListen("127.0.0.1:0"), g}, oslorpc.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	defer t.Close()
	s := t.Server(oslorpc.Target{Topic: gateway.Topic, Server: "gw"})
	if err := s.Start(ctx); err != nil {
		return err
	}
	i, _ := s.Instance()
	return ready(i.Addr)
}

// asGateway is an option that makes the process of a transport a gateway.
type asGateway struct {
	oslorpc.TransportOption

	gateway *gateway.Gateway
}

// Gateway implements [gateway.Option].
func (a asGateway) Gateway() *gateway.Gateway { return a.gateway }

// ready prints addresses and returns when the input ends.
func ready(addrs ...string) error {
	for _, addr := range addrs {
		fmt.Fprintln(os.Stdout, addr)
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return errors.Join(err)
}
