package intruder

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/limits/limitstest"
	"github.com/oslorpc/oslorpc/internal/programtest"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// TestTools has an attacker that uses the tools of operators, and HTTP/2 frames.
func TestTools(t *testing.T) {
	t.Parallel()
	for _, a := range []attack{
		{name: "command line", wants: "do what operators do", do: commandLine},
		{name: "grpcurl", wants: "look around, and run methods, without this library", do: withGrpcurl},
		{name: "frames", wants: "confuse the server by headers that no client sends", do: oddHeaders},
	} {
		t.Run(a.name, a.play)
	}
}

// line returns the words of a command line, with the files of a program.
func (f *fleet) line(words string, c trust.Config) []string {
	return append(strings.Fields(words), "--transport", f.url, "--ca", c.CA, "--cert", c.Cert, "--key", c.Key, "--identity", template)
}

func commandLine(t *testing.T, f *fleet) int {
	for _, line := range []string{
		"call payments transfer", "call payments transfer --server payments-1", "cast payments transfer", "fanout payments transfer", "multicall payments rates",
		"multicall payments quote", "cast payments quote", "call payments CreateVolume --namespace volumes", "ping payments", "info payments",
	} {
		code, out := execute(t, programtest.Path("oslorpc"), f.line(line+" --timeout 10s", f.stolen)...)
		if code == 0 || !strings.Contains(out, "the policy of the server denies this") || strings.Contains(out, "CreateVolume") && !strings.Contains(line, "CreateVolume") {
			t.Errorf("%s: exit code %d\n%s", line, code, out)
		}
	}
	return 10
}

func withGrpcurl(t *testing.T, f *fleet) int {
	path, addr := grpcurl(t), f.instance("payments-1").Addr
	call := func(method string) string {
		return `{"message":{"target":{"topic":"payments"},"method":"` + method + `"}}`
	}
	for _, args := range [][]string{
		{addr, "list"}, {addr, "describe"}, {addr, "describe", "oslorpc.v1.Message"},
		{"-import-path", "../../proto", "-proto", "oslorpc/v1/rpc.proto", "-d", call("transfer"), addr, "oslorpc.v1.RPCService/Call"},
		{"-import-path", "../../proto", "-proto", "oslorpc/v1/rpc.proto", "-d", call("transfer"), addr, "oslorpc.v1.RPCService/Cast"},
		{"-import-path", "../../proto", "-proto", "oslorpc/v1/rpc.proto", "-d", call("quote"), addr, "oslorpc.v1.RPCService/Multicall"},
		{"-import-path", "../../proto", "-proto", "oslorpc/v1/introspection.proto", addr, "oslorpc.v1.IntrospectionService/GetInfo"},
		{"-import-path", "../../proto", "-proto", "oslorpc/v1/introspection.proto", addr, "oslorpc.v1.IntrospectionService/Ping"},
	} {
		code, out := execute(t, path, append([]string{"-cacert", f.stolen.CA, "-cert", f.stolen.Cert, "-key", f.stolen.Key}, args...)...)
		if code == 0 || !strings.Contains(out, "the policy of the server denies this") {
			t.Errorf("%v: exit code %d\n%s", args, code, out)
		}
	}
	return 8
}

// frames returns a connection of the attacker that speaks HTTP/2 in frames.
func (f *fleet) frames(t *testing.T) *limitstest.Client {
	t.Helper()
	config := tlsOf(t, f.stolen)
	config.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", f.instance("payments-1").Addr, config)
	if err != nil {
		t.Fatal(err)
	}
	c, err := limitstest.Start(conn, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// oddHeaders sends RPCs with unusual headers.
func oddHeaders(t *testing.T, f *fleet) int {
	c := f.frames(t)
	body, err := proto.Marshal(&pb.CallRequest{Message: message("transfer")})
	if err != nil {
		t.Fatal(err)
	}
	const path = "/oslorpc.v1.RPCService/Call"
	for _, headers := range [][]string{
		nil, {"user-agent", clerk}, {"user-agent", clerk, "user-agent", "x"}, {"host", "payments"}, {"oslorpc-topic", "printers", "oslorpc-topic", "payments"},
		{"grpc-timeout", "1H"}, {"te", "trailers"}, {"connection-id", "1"}, {"grpc-tags-bin", "x"}, {"content-type", "application/grpc+json"},
	} {
		id, err := c.Request(path, body, headers...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Await(id, patience); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"oslorpc.v1.RPCService/Call", "", "/", "*", "/oslorpc.v1.RPCService"} {
		if id, err := c.Request(path, body); err == nil {
			_, _ = c.Await(id, time.Second)
		}
	}
	return 7
}
