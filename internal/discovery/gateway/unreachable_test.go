package gateway_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/discovery/gateway"
	"github.com/oslorpc/oslorpc/internal/peer"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// open returns a registry behind gateways that it connects to over the network.
func open(t *testing.T, addrs ...string) *gateway.Registry {
	t.Helper()
	r, err := gateway.Open("gateway://"+strings.Join(addrs, ","), registry.Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	r.Use(func(addr string) (gateway.Conn, error) { return peer.Config{}.Connection(addr) })
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	return r
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// serve serves gRPC on the network until the end of the test, or until it is killed.
func serve(t *testing.T, register func(grpc.ServiceRegistrar)) (addr string, kill func()) {
	t.Helper()
	l, s := listen(t), grpc.NewServer()
	register(s)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Stop()
		<-served
	})
	return l.Addr().String(), s.Stop
}

// What cannot be asked is named with its address and what is wrong, in plain words: gRPC's own
// texts are no help to an operator.
func TestGatewaysThatCannotBeAsked(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	encrypted := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(encrypted.Close)
	stranger, _ := serve(t, func(grpc.ServiceRegistrar) {}) // a gRPC server that is no gateway
	for name, tt := range map[string]struct{ addr, want string }{
		"nothing listens": {"127.0.0.1:1", "the gateway cannot be reached: nothing listens at ADDR; the process is probably dead"},
		"it hangs":        {listen(t).Addr().String(), "the gateway at ADDR accepts connections but sends nothing; its process may be hung"},
		"a web server":    {web.Listener.Addr().String(), "the gateway at ADDR answers with something other than gRPC; another program may have the address"},
		"it requires TLS": {encrypted.Listener.Addr().String(), "the gateway at ADDR requires TLS, and this client connects in plaintext: check ca"},
		"no gateway":      {stranger, "at ADDR is no gateway: give gateway:// the address of an oslorpc gateway"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := strings.ReplaceAll(tt.want, "ADDR", tt.addr)
			check := func(what string, err error) {
				e, _ := errors.AsType[*rpc.Error](err)
				if e == nil || e.Kind != rpc.Unreachable || !e.NotStarted || !strings.HasPrefix(e.Message, want) || strings.Contains(e.Message, "desc =") {
					t.Errorf("%s: got  %v\nwant %s", what, err, want)
				}
			}
			r := open(t, tt.addr)
			_, err := r.List(t.Context())
			check("a list", err)

			updates := make(chan registry.Update, 100)
			stop := r.Watch(registry.Topic{Exchange: "openstack", Name: "demo"}, func(u registry.Update) { updates <- u })
			check("a watch", (<-updates).Err)
			stop()
		})
	}
	t.Run("several", func(t *testing.T) {
		t.Parallel()
		one, two := "127.0.0.1:1", "127.0.0.1:2"
		_, err := open(t, one, two).List(t.Context())
		text := err.Error()
		if !strings.HasPrefix(text, "not delivered: unreachable: no gateway answers: the gateway cannot be reached: nothing listens at ") ||
			!strings.Contains(text, "nothing listens at "+one) || !strings.Contains(text, "nothing listens at "+two) {
			t.Error(text)
		}
	})
}

// patientGateway is a gateway that answers nothing until the caller gives up.
type patientGateway struct {
	pb.UnimplementedGatewayServiceServer

	asked chan struct{}
}

func (g *patientGateway) List(ctx context.Context, _ *pb.ListRequest) (*pb.ListResponse, error) {
	close(g.asked)
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestGatewayThatDiesWhileItIsAsked(t *testing.T) {
	t.Parallel()
	g := &patientGateway{asked: make(chan struct{})}
	addr, kill := serve(t, func(r grpc.ServiceRegistrar) { pb.RegisterGatewayServiceServer(r, g) })
	go func() {
		<-g.asked
		kill()
	}()
	_, err := open(t, addr).List(t.Context())
	want := "the gateway at " + addr + " ended the connection, or the network lost it; its process may have stopped or died"
	if e, _ := errors.AsType[*rpc.Error](err); e == nil || e.Kind != rpc.Unreachable || e.Message != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestGatewayThatIsSlow(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		g := &patientGateway{asked: make(chan struct{})}
		w.Cleanup(w.network.Serve("gw:1", func(r grpc.ServiceRegistrar) { pb.RegisterGatewayServiceServer(r, g) }))
		r := open(t, "gw:1")
		r.Use(func(addr string) (gateway.Conn, error) {
			return peer.Config{Options: w.network.Options()}.Connection(addr)
		})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := r.List(ctx)
		<-g.asked
		if e, _ := errors.AsType[*rpc.Error](err); e == nil || e.Kind != rpc.Timeout || e.Message != "the gateway at gw:1 did not answer in time" {
			t.Errorf("got %v", err)
		}
	})
}
