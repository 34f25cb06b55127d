package oslorpc_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/tlstest"
	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

func withTLS(config *tls.Config) oslorpc.TransportOption {
	return oslorpc.WithTrust(trust.Config{TLS: config})
}

// syncing is an inventory with a bidirectional stream that answers each message.
type syncing struct{ *inventory }

func (s syncing) SyncVolumes(stream grpc.BidiStreamingServer[v1.SyncVolumesRequest, v1.SyncVolumesResponse]) error {
	for {
		r, err := stream.Recv()
		if err != nil {
			return unlessEOF(err)
		}
		if err := stream.Send(&v1.SyncVolumesResponse{Name: r.GetName()}); err != nil {
			return err
		}
	}
}

// everyDelivery sends one message of each kind to the topic inventory, which has one server. It
// returns an error unless each message arrived completely.
func everyDelivery(ctx context.Context, transport *oslorpc.Transport) map[string]func() error {
	c := transport.Client(oslorpc.Target{Topic: "inventory"}, oslorpc.WithTimeout(10*time.Second))
	monitored := c.Prepare(oslorpc.WithCallMonitorTimeout(5 * time.Second))
	stub := v1.NewInventoryServiceClient(c)
	call := func(c *oslorpc.Client) func() error {
		return func() error {
			name, err := oslorpc.Call[string](ctx, c, "whoami", nil)
			return expect(err, name == "node1", name)
		}
	}
	return map[string]func() error{
		"call": call(c), "monitored call": call(monitored), "call by name": call(c.Prepare(oslorpc.WithServer("node1"))),
		"cast": func() error { return c.Cast(ctx, "note", nil) },
		"fanout": func() error {
			report, err := c.Fanout(ctx, "note", nil)
			return expect(err, err == nil && len(report.Accepted) == 1, report)
		},
		"gather": func() error {
			n := 0
			for reply, err := range oslorpc.Gather[string](ctx, c, "whoami", nil) {
				if err != nil {
					return err
				}
				if reply.Value == "node1" {
					n++
				}
			}
			return expect(nil, n == 1, n)
		},
		"multicall": func() error {
			n := 0
			for _, err := range oslorpc.Multicall[int](ctx, c, "count", limit{100}) {
				if err != nil {
					return err
				}
				n++
			}
			return expect(nil, n == 100, n)
		},
		"typed call": func() error {
			reply, err := stub.CreateVolume(ctx, &v1.CreateVolumeRequest{Name: "a"})
			return expect(err, reply.GetName() == "node1", reply)
		},
		"typed cast": func() error {
			_, err := stub.ReportUsage(ctx, &v1.ReportUsageRequest{})
			return err
		},
		"server stream":        func() error { return watchThree(ctx, stub) },
		"client stream":        func() error { return importThree(ctx, stub) },
		"bidirectional stream": func() error { return syncThree(ctx, stub) },
	}
}

func expect(err error, holds bool, got any) error {
	if err == nil && !holds {
		return fmt.Errorf("got %v", got)
	}
	return err
}

func watchThree(ctx context.Context, stub v1.InventoryServiceClient) error {
	stream, err := stub.WatchVolumes(ctx, &v1.WatchVolumesRequest{Prefix: "a b c"})
	for n := 0; err == nil; n++ {
		if _, err = stream.Recv(); errors.Is(err, io.EOF) {
			return expect(nil, n == 3, n)
		}
	}
	return err
}

func importThree(ctx context.Context, stub v1.InventoryServiceClient) error {
	stream, err := stub.ImportVolumes(ctx)
	for n := 0; err == nil && n < 3; n++ {
		err = stream.Send(&v1.ImportVolumesRequest{Name: "a"})
	}
	if err != nil {
		return err
	}
	reply, err := stream.CloseAndRecv()
	return expect(err, reply.GetImported() == 3, reply)
}

func syncThree(ctx context.Context, stub v1.InventoryServiceClient) error {
	stream, err := stub.SyncVolumes(ctx)
	for n := 0; err == nil && n < 3; n++ {
		if err = stream.Send(&v1.SyncVolumesRequest{Name: "a"}); err == nil {
			_, err = stream.Recv()
		}
	}
	if err == nil {
		err = stream.CloseSend()
	}
	if err != nil {
		return err
	}
	_, err = stream.Recv()
	return expect(unlessEOF(err), errors.Is(err, io.EOF), err)
}

// serveSecure starts a server for everyDelivery.
func serveSecure(t *testing.T, options ...oslorpc.TransportOption) (*oslorpc.Server, *inventory, agent) {
	t.Helper()
	i, a := &inventory{name: "node1"}, newAgent("node1")
	s := open(t, options...).Server(oslorpc.Target{Topic: "inventory", Server: "node1"})
	s.Add(a.endpoint("1.0"))
	v1.RegisterInventoryServiceServer(s, syncing{i})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, i, a
}

// Every delivery works with mutual TLS, wherever the server listens. With TLS, addresses of other
// machines do not need Plaintext.
func TestTLS(t *testing.T) {
	socket := "unix:" + filepath.Join(t.TempDir(), "socket")
	for name, options := range map[string][]oslorpc.TransportOption{
		"an IP address":   nil,
		"a name":          {oslorpc.WithListen("localhost:0")},
		"a socket":        {oslorpc.WithListen(socket)},
		"every interface": {oslorpc.WithListen("0.0.0.0:0"), oslorpc.WithAdvertise("localhost")},
	} {
		t.Run(name, func(t *testing.T) {
			ours := tlstest.New(t)
			s, _, _ := serveSecure(t, append(options, withTLS(ours.Mutual("localhost")))...)
			sender := open(t, withTLS(ours.Mutual("localhost")))
			for delivery, send := range everyDelivery(t.Context(), sender) {
				if err := send(); err != nil {
					t.Errorf("%s: %v", delivery, err)
				}
			}
			i, _ := s.Instance()
			if _, err := sender.Ping(t.Context(), i); err != nil {
				t.Errorf("ping: %v", err)
			}
			if info, err := sender.Info(t.Context(), i); err != nil || len(info.Servers) != 1 {
				t.Errorf("info: %v, %v", info, err)
			}
		})
	}
}
