package intruder

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/pkg/trust"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// attack is one attempt of the attacker.
type attack struct {
	// name is a short name, and wants is the goal of the attacker.
	name, wants string
	// do attacks, and fails the test if the attack succeeds. It returns the minimum number of
	// denials in the audit log.
	do func(t *testing.T, f *fleet) (denials int)
	// may are the methods that the attack may run because the policy allows them.
	may []string
}

// play runs an attack against a separate fleet.
func (a *attack) play(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	denials := a.do(t, f)
	for _, r := range f.journal.of(agent) {
		if !slices.Contains(a.may, r.method) {
			t.Errorf("the attacker could %s: it ran %s", a.wants, r)
		}
	}
	f.log.wantDenials(t, agent, denials)
	f.checkServes(t)
	if t.Failed() {
		t.Logf("the attacker wants to %s", a.wants)
	}
}

// tlsOf returns the TLS configuration of a program that the attacker controls.
func tlsOf(t *testing.T, files trust.Config) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(files.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, MinVersion: tls.VersionTLS13}
}

// dial connects to a server with the stolen certificate and plain gRPC.
func (f *fleet) dial(t *testing.T, server string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	return dialAt(t, f.instance(server).Addr, f.stolen, options...)
}

// dialAt connects to an address with a certificate.
func dialAt(t *testing.T, addr string, files trust.Config, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	options = append(options, grpc.WithTransportCredentials(credentials.NewTLS(tlsOf(t, files))))
	conn, err := grpc.NewClient(addr, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// message returns a message for payments.
func message(method string) *pb.Message {
	return &pb.Message{Target: &pb.Target{Topic: new("payments")}, Method: method, Kwargs: &pb.Payload{Encoding: &pb.Payload_Json{Json: "{}"}}}
}

// forms send a message with each RPC of the protocol.
var forms = map[string]func(ctx context.Context, conn *grpc.ClientConn, m *pb.Message) error{
	"Call": func(ctx context.Context, conn *grpc.ClientConn, m *pb.Message) error {
		_, err := pb.NewRPCServiceClient(conn).Call(ctx, &pb.CallRequest{Message: m})
		return err
	},
	"Cast": func(ctx context.Context, conn *grpc.ClientConn, m *pb.Message) error {
		_, err := pb.NewRPCServiceClient(conn).Cast(ctx, &pb.CastRequest{Message: m})
		return err
	},
	"Multicall": func(ctx context.Context, conn *grpc.ClientConn, m *pb.Message) error {
		stream, err := pb.NewRPCServiceClient(conn).Multicall(ctx, &pb.MulticallRequest{Message: m})
		return drain(stream, err)
	},
	"MonitoredCall": func(ctx context.Context, conn *grpc.ClientConn, m *pb.Message) error {
		stream, err := pb.NewRPCServiceClient(conn).MonitoredCall(ctx, &pb.MonitoredCallRequest{Message: m})
		return drain(stream, err)
	},
}

// drain receives until a stream ends.
func drain[Item any](stream grpc.ServerStreamingClient[Item], err error) error {
	for err == nil {
		_, err = stream.Recv()
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// wantDenied fails unless an RPC ended with the common text of denials.
func wantDenied(t *testing.T, what string, err error) {
	t.Helper()
	s := status.Convert(err)
	if s.Code() != codes.PermissionDenied || s.Message() != "access denied: the policy of the server denies this" {
		t.Errorf("%s: got %v", what, err)
	}
}

// wantRefused fails unless an RPC ended with an error.
func wantRefused(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: it succeeded", what)
	}
}
