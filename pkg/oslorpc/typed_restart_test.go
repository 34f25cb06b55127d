package oslorpc_test

import (
	"net"
	"testing"
	"time"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// freeAddr returns an address that was free a moment ago.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// At a static address, discovery does not tell that a server is not up yet while its process is. A
// typed message for such a server waits, like any other message.
func TestTypedMessageForARestartingServer(t *testing.T) {
	for name, options := range map[string][]oslorpc.ClientOption{"by topic": nil, "by name": {oslorpc.WithServer("node1")}} {
		for kind, send := range map[string]func(v1.InventoryServiceClient) error{
			"call": func(c v1.InventoryServiceClient) error {
				_, err := c.CreateVolume(t.Context(), &v1.CreateVolumeRequest{Name: "a"})
				return err
			},
			"cast": func(c v1.InventoryServiceClient) error {
				_, err := c.ReportUsage(t.Context(), &v1.ReportUsageRequest{})
				return err
			},
			"stream": func(c v1.InventoryServiceClient) error {
				stream, err := c.WatchVolumes(t.Context(), &v1.WatchVolumesRequest{})
				if err == nil {
					_, err = stream.Recv()
				}
				return unlessEOF(err)
			},
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				addr := freeAddr(t)
				url := "static://inventory/node1=" + addr
				process := openOn(t, url, oslorpc.WithListen(addr))
				defer process.Close()
				serveOn(t, process, oslorpc.Target{Topic: "other", Server: "node1"}, newAgent("node1").endpoint("1.0"))
				sender := openOn(t, url)
				defer sender.Close()
				stub := v1.NewInventoryServiceClient(sender.Client(oslorpc.Target{}, append(options, oslorpc.WithTimeout(30*time.Second))...))
				refused := v1.NewInventoryServiceClient(sender.Client(oslorpc.Target{}, append(options, oslorpc.WithTimeout(30*time.Second),
					oslorpc.WithRetry(0))...))
				if err := send(refused); oslorpc.KindOf(err) == oslorpc.NoSuchMethod || !oslorpc.SafeToRetry(err) {
					t.Errorf("while the server is not there: %v", err)
				}
				sent := make(chan error, 1)
				go func() { sent <- send(stub) }()
				s := process.Server(oslorpc.Target{Topic: "inventory", Server: "node1"})
				v1.RegisterInventoryServiceServer(s, &inventory{name: "node1"})
				if err := s.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := <-sent; err != nil {
					t.Errorf("sent while it started: %v", err)
				}
			})
		}
	}
}
