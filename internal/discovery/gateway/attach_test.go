package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/carrier/grpccarrier"
	"github.com/oslorpc/oslorpc/internal/discovery/gateway"
	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/gateway/attached"
	"github.com/oslorpc/oslorpc/internal/host"
	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/internal/peer"
	"github.com/oslorpc/oslorpc/internal/peer/peertest"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/security"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestMain(m *testing.M) { leak.Main(m) }

// gatewayEnd is a gateway that accepts attached servers and does not register them anywhere.
type gatewayEnd struct {
	pb.UnimplementedGatewayServiceServer

	name    string
	servers *attached.Servers
	carrier *grpccarrier.Carrier
	denied  error
	stop    func()

	mu        sync.Mutex
	announced []rpc.Instance
	failure   error // of announcements
}

func (g *gatewayEnd) Attach(s attached.Stream) error {
	return g.servers.Attach(s, func(*rpc.Instance) error { return g.denied })
}

func (g *gatewayEnd) announce() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failure == nil {
		g.announced = g.servers.Beside("boot-"+g.name, "10.0.0.1:1")
	}
	return g.failure
}

// names returns the announced servers with their states.
func (g *gatewayEnd) names() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var names []string
	for _, i := range g.announced {
		names = append(names, i.Server+" "+string(i.State))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// world has gateways, and processes that cannot be dialled.
type world struct {
	*testing.T

	network peertest.Network
}

// gateway starts a gateway at an address.
func (w *world) gateway(addr string, changes ...func(*attached.Config)) *gatewayEnd {
	g := &gatewayEnd{name: addr}
	c := attached.Config{
		Log:      slog.New(slog.DiscardHandler),
		Announce: func(context.Context) error { return g.announce() }, Settle: func() { _ = g.announce() },
	}
	for _, change := range changes {
		change(&c)
	}
	g.servers = attached.New(c)
	g.carrier = grpccarrier.New(grpccarrier.Config{Peers: peer.Config{Dial: g.servers.Dial}, MaxSize: 1 << 20, MaxHeader: 8 << 10})
	g.servers.Use(g.carrier)
	kill := w.network.Serve(addr, func(r grpc.ServiceRegistrar) { pb.RegisterGatewayServiceServer(r, g) })
	g.stop = sync.OnceFunc(func() {
		g.carrier.Close()
		kill()
	})
	w.Cleanup(g.stop)
	return g
}

// process returns a process that attaches to one of the gateways, and a function that ends it.
func (w *world) process(addrs ...string) (h *host.Host, lapses chan string, end func()) {
	options := append(w.network.Options(), grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 10 * time.Second}))
	r := gateway.NewPublishing(addrs, options)
	h = host.New(host.Config{
		Exchange: "nova", Trust: &security.Trust{}, Limits: rpc.Limits{MessageSize: 1 << 20}.WithDefaults(),
		Log: slog.New(slog.DiscardHandler), Registry: &told{r, nil}, StopTimeout: time.Minute,
	})
	lapses = make(chan string, 10)
	r.Lapses(func(reason string) { lapses <- reason })
	return h, lapses, func() {
		h.Close()
		if err := h.Stop(context.Background()); err != nil {
			w.Error(err)
		}
		h.End()
		if err := r.Close(context.Background()); err != nil {
			w.Error(err)
		}
	}
}

// told passes lapses to the test instead of the host.
type told struct {
	*gateway.Publishing

	Lapses any
}

func server(h *host.Host, name string) *host.Server {
	return h.Server(host.ServerConfig{Target: rpc.Target{Topic: "compute", Server: name}, Limits: dispatch.DefaultLimits, Executor: host.Pool})
}

func (w *world) start(s *host.Server) rpc.Instance {
	w.Helper()
	if err := s.Start(w.Context()); err != nil {
		w.Fatal(err)
	}
	i, _ := s.Instance()
	return i
}

// reach returns an error unless the gateway reaches an instance through its tunnel.
func (g *gatewayEnd) reach(ctx context.Context, id string) error {
	for _, p := range g.servers.List() {
		for _, i := range p.Instances {
			if i.ID != id {
				continue
			}
			link := g.carrier.Get(carrier.KeyOf(i))
			defer g.carrier.Put(link)
			if err := link.Enter(ctx, time.Second); err != nil {
				return err
			}
			defer link.Release()
			return link.Ping(ctx, identity.Server{Exchange: i.Exchange, Topic: i.Topic, Name: i.Server}, i.ID)
		}
	}
	return errors.New("it is not attached")
}

// bubble runs a test in faked time.
func bubble(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { f(t, &world{T: t}) })
}

// await waits until a condition holds. Meanwhile the clock of the bubble advances.
func (w *world) await(what string, is func() bool) {
	w.Helper()
	for end := time.Now().Add(5 * time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.Fatalf("in vain: %s", what)
		}
	}
}

// The gateway reaches an attached server, and announces it with its current state.
func TestAttachedServersAreServed(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		g := w.gateway("gw")
		h, _, end := w.process("gw")
		defer end()
		one, two := server(h, "host1"), server(h, "host2")
		i := w.start(one)
		w.start(two)
		if got := g.names(); got != "host1 active, host2 active" {
			t.Errorf("announced are %q", got)
		}
		if err := g.reach(t.Context(), i.ID); err != nil {
			t.Error(err)
		}
		if err := two.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, i := range g.announced {
			if i.BootID != "boot-gw" || i.Addr != "10.0.0.1:1" {
				t.Errorf("announced is %+v", i)
			}
		}
		if got := g.names(); got != "host1 active, host2 draining" {
			t.Errorf("announced are %q", got)
		}
		if err := two.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := g.names(); got != "host1 active" {
			t.Errorf("announced are %q", got)
		}
		if err := one.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := g.names(); got != "" || len(g.servers.List()) > 0 {
			t.Errorf("announced are %q, and %d processes are attached", got, len(g.servers.List()))
		}
		again := w.start(one)
		if err := g.reach(t.Context(), again.ID); err != nil || again.BootID == i.BootID {
			t.Errorf("started again: %v", err)
		}
	})
}

// When a gateway dies, its processes attach to another one, and learn that they may have missed
// messages.
func TestFailover(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		first, second := w.gateway("a"), w.gateway("b")
		h, lapses, end := w.process("a", "b")
		defer end()
		i := w.start(server(h, "host1"))
		for range 3 {
			if first.reach(t.Context(), i.ID) != nil {
				first, second = second, first
			}
			first.stop()
			w.await("it is attached to the other", func() bool { return second.reach(t.Context(), i.ID) == nil })
			if len(lapses) != 1 || !strings.Contains(<-lapses, second.name) {
				t.Error("the process was not told that it was away")
			}
			if got := first.names(); got != "" {
				t.Errorf("the gateway that died announces %q", got)
			}
			first = w.gateway(first.name)
		}
	})
}

// Before a gateway stops, its processes move to another gateway, so that each server is always
// announced by one of them. Outstanding messages end at the first gateway.
func TestMoveBeforeStop(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		a, b := w.gateway("a"), w.gateway("b")
		h, lapses, end := w.process("a", "b")
		defer end()
		i := w.start(server(h, "host1"))
		first, second := a, b
		if a.reach(t.Context(), i.ID) != nil {
			first, second = b, a
		}
		began := time.Now()
		first.servers.Leave(t.Context())
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
		if first.names() != "" || second.names() != "host1 active" {
			t.Errorf("announced are %q and %q", first.names(), second.names())
		}
		if err := second.reach(t.Context(), i.ID); err != nil {
			t.Error(err)
		}
		first.servers.Close()
		synctest.Wait()
		if err := second.reach(t.Context(), i.ID); err != nil || len(lapses) > 0 {
			t.Errorf("after the end of the first: %v, and %d lapses", err, len(lapses))
		}
		if err := server(h, "host2").Start(t.Context()); err != nil || second.names() != "host1 active, host2 active" {
			t.Errorf("a further server: %v, %q", err, second.names())
		}
	})
}

// Without another gateway, the processes stay as long as the gateway allows, and then attach to its
// successor.
func TestRestartOfTheOnlyGateway(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		g := w.gateway("gw")
		h, _, end := w.process("gw")
		defer end()
		i := w.start(server(h, "host1"))
		patience, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		g.servers.Leave(patience)
		if err := g.reach(t.Context(), i.ID); patience.Err() == nil || err != nil {
			t.Errorf("it left, or is not served: %v", err)
		}
		g.stop()
		time.Sleep(time.Minute)
		g = w.gateway("gw")
		w.await("it is attached again", func() bool { return g.reach(t.Context(), i.ID) == nil })
	})
}

// If the network is lost silently, both ends end the attachment within half a minute. The process
// attaches again when the network is back.
func TestLostNetwork(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		g := w.gateway("gw")
		h, lapses, end := w.process("gw")
		defer end()
		i := w.start(server(h, "host1"))
		began := time.Now()
		w.network.Lose("gw")
		w.await("the gateway withdraws it", func() bool { return g.names() == "" })
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("it took %v", took)
		}
		w.network.Find("gw")
		w.await("it is attached again", func() bool { return g.reach(t.Context(), i.ID) == nil })
		if len(lapses) != 1 {
			t.Errorf("it was told of %d lapses", len(lapses))
		}
		if got := g.names(); got != "host1 active" {
			t.Errorf("announced are %q", got)
		}
	})
}

// A start reports why no gateway accepts the server.
func TestRefusals(t *testing.T) {
	unchanged := func(*attached.Config) {}
	identify := func(c *attached.Config) {
		var err error
		if c.Identity, err = identity.ParseTemplate("dns:{server}.example"); err != nil {
			panic(err)
		}
	}
	for name, test := range map[string]struct {
		change func(*attached.Config)
		kind   rpc.Kind
		says   string
	}{
		"policy":   {unchanged, rpc.AccessDenied, "denies this"},
		"identity": {identify, rpc.AccessDenied, "must prove dns:host1.example"},
		"many":     {func(c *attached.Config) { c.Instances = -1 }, rpc.InvalidTarget, "publishes 1 servers"},
		"full":     {func(c *attached.Config) { c.Processes = -1 }, rpc.Refused, "takes no more"},
		"away":     {nil, rpc.Unreachable, "connection refused"},
		"plain":    {unchanged, rpc.Refused, "--attach"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				switch name {
				case "away":
				case "plain":
					defer w.network.Serve("gw", nil)()
				default:
					g := w.gateway("gw", test.change)
					if name == "policy" {
						g.denied = refusal.Denied("the policy of the server denies this")
					}
					defer func() {
						if got := g.names(); got != "" || len(g.servers.List()) > 0 {
							t.Errorf("announced are %q", got)
						}
					}()
				}
				h, _, end := w.process("gw")
				defer end()
				err := server(h, "host1").Start(t.Context())
				if rpc.KindOf(err) != test.kind || !strings.Contains(fmt.Sprint(err), test.says) || !rpc.SafeToRetry(err) && test.kind != rpc.AccessDenied {
					t.Errorf("got %v of kind %v", err, rpc.KindOf(err))
				}
			})
		})
	}
}

// A server that cannot be announced is not attached. Earlier announcements stay valid.
func TestDiscoveryIsAway(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		g := w.gateway("gw")
		h, _, end := w.process("gw")
		defer end()
		one := server(h, "host1")
		w.start(one)
		g.mu.Lock()
		g.failure = &rpc.Error{Kind: rpc.Unreachable, Message: "consul is away"}
		g.mu.Unlock()
		if err := server(h, "host2").Start(t.Context()); !strings.Contains(fmt.Sprint(err), "consul is away") {
			t.Errorf("got %v", err)
		}
		g.mu.Lock()
		g.failure = nil
		g.mu.Unlock()
		if err := one.Drain(t.Context()); err != nil || g.names() != "host1 draining" {
			t.Errorf("got %v, and announced are %q", err, g.names())
		}
	})
}
