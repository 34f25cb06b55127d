package gateway_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// behind returns a client that reaches the fleet only through gateways.
func behind(t *testing.T, target oslorpc.Target, gates ...*gate) (*oslorpc.Client, *oslorpc.Transport) {
	t.Helper()
	url := "gateway://"
	for i, g := range gates {
		if i > 0 {
			url += ","
		}
		url += g.addr
	}
	transport := open(t, url, oslorpc.WithCallerName("behind"))
	return transport.Client(target, oslorpc.WithTimeout(patience)), transport
}

// TestClientBehindAGateway checks that every delivery works as without the gateway.
func TestClientBehindAGateway(t *testing.T) {
	f := newFleet(t)
	a, b := f.serve(t, "a"), f.serve(t, "b")
	g := f.gateway(t, "gw")
	checkDeliveries(t, a, b, 1, g)
}

// checkDeliveries checks that a client that knows only the address of some gateways can use the
// servers a and b as it could without gateways.
func checkDeliveries(t *testing.T, a, b *shop, gateways int, g *gate) {
	t.Helper()
	c, transport := behind(t, oslorpc.Target{Topic: topic}, g)
	ctx := bounded(t)
	seen := map[string]int{}
	for range 4 {
		name, err := oslorpc.Call[string](ctx, c, "whoami", nil)
		if err != nil {
			t.Fatal(err)
		}
		seen[name]++
	}
	if seen["a"] != 2 || seen["b"] != 2 {
		t.Errorf("the servers ran %v, want 2 each", seen)
	}
	at := c.Prepare(oslorpc.WithServer("b"))
	if name, err := oslorpc.Call[string](ctx, at, "whoami", nil); err != nil || name != "b" {
		t.Errorf("by name: %q, %v", name, err)
	}
	_, err := oslorpc.Call[string](ctx, c, "fail", nil)
	var remote *oslorpc.RemoteError
	if !errors.As(err, &remote) || remote.Message != errShop.Error() || len(remote.Hops) != 1 {
		t.Errorf("a failure: %v", err)
	}
	report, err := c.Fanout(ctx, "whoami", nil)
	if err != nil || len(report.Accepted) != 2 {
		t.Errorf("fanout: %+v, %v", report, err)
	}
	var gathered []string
	for reply, err := range oslorpc.Gather[string](ctx, c, "whoami", nil) {
		if err != nil {
			t.Error(err)
		}
		gathered = append(gathered, reply.Value)
	}
	if slices.Sort(gathered); !slices.Equal(gathered, []string{"a", "b"}) {
		t.Errorf("gather: %v", gathered)
	}
	var items []int
	for item, err := range oslorpc.Multicall[int](ctx, c, "count", nil) {
		if err != nil {
			t.Error(err)
		}
		items = append(items, item)
	}
	if !slices.Equal(items, []int{1, 2, 3}) {
		t.Errorf("multicall: %v", items)
	}
	if ok, err := c.CanSendVersionOf(ctx, "1.5"); err != nil || !ok {
		t.Errorf("without a cap: %v, %v", ok, err)
	}
	auto := c.Prepare(oslorpc.WithVersionCap("auto"))
	if ok, err := auto.CanSendVersionOf(ctx, "1.5"); err != nil || ok {
		t.Errorf("the cap auto allows 1.5, which no server has: %v", err)
	}
	typed := v1.NewInventoryServiceClient(c.Prepare(oslorpc.WithServer("a")))
	if r, err := typed.GetVolume(ctx, &v1.GetVolumeRequest{Name: "v"}); err != nil || r.GetName() != "a/v" {
		t.Errorf("typed: %v, %v", r, err)
	}
	watch, err := typed.WatchVolumes(ctx, &v1.WatchVolumesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		item, err := watch.Recv()
		if errors.Is(err, io.EOF) && n == 3 {
			break
		}
		if err != nil || item.GetName() != "a" {
			t.Fatalf("item %d: %v, %v", n, item, err)
		}
	}
	list, err := transport.Instances(ctx)
	if err != nil || len(list) != 2+gateways {
		t.Fatalf("the instances are %v, %v", list, err)
	}
	for _, i := range list {
		if i.Addr != g.addr {
			t.Errorf("%s is at %s, want the gateway's address", i.Server, i.Addr)
		}
		if i.Server != "a" && i.Server != "b" {
			continue
		}
		if _, err := transport.Ping(ctx, i); err != nil {
			t.Errorf("ping: %v", err)
		}
		info, err := transport.Info(ctx, i)
		own := a
		if i.Server == "b" {
			own = b
		}
		if err != nil || info.BootID != own.instance.BootID {
			t.Errorf("info of %s: %+v, %v", i.Server, info, err)
		}
	}
}

// TestFailover checks that a client moves to the next gateway when its gateway stops, and that no
// message fails.
func TestFailover(t *testing.T) {
	f := newFleet(t)
	f.serve(t, "a")
	gates := []*gate{f.gateway(t, "gw1"), f.gateway(t, "gw2")}
	c, _ := behind(t, oslorpc.Target{Topic: topic}, gates...)
	ctx := bounded(t)
	for range 2 {
		for n := range 2 { // with each of them gone in turn
			if _, err := oslorpc.Call[string](ctx, c, "whoami", nil); err != nil {
				t.Fatalf("with gateway %d: %v", n, err)
			}
			if err := gates[n].server.Stop(ctx); err != nil {
				t.Fatal(err)
			}
			if _, err := oslorpc.Call[string](ctx, c, "whoami", nil); err != nil {
				t.Fatalf("without gateway %d: %v", n, err)
			}
			gates[n] = f.restart(t, gates[n])
		}
	}
}

// TestNoGateway checks that an error names the gateways that do not answer.
func TestNoGateway(t *testing.T) {
	transport := open(t, "gateway://127.0.0.1:1")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := transport.Instances(ctx)
	if rpc.KindOf(err) != rpc.Unreachable || !rpc.SafeToRetry(err) {
		t.Errorf("got %v, want Unreachable", err)
	}
}

// TestGatewayRestartsAtItsAddress checks that a client of one gateway continues with the next
// gateway at its address, although the first one refused messages while it stopped. The new gateway
// does not know the topic when it gets a typed message that names only the instance.
func TestGatewayRestartsAtItsAddress(t *testing.T) {
	f := newFleet(t)
	f.serve(t, "a")
	g := f.gateway(t, "gw")
	c, _ := behind(t, oslorpc.Target{Topic: topic}, g)
	ctx := bounded(t)
	for range 3 {
		if _, err := oslorpc.Call[string](ctx, c, "whoami", nil); err != nil {
			t.Fatal(err)
		}
		stopped := make(chan error, 1)
		go func() { stopped <- g.server.Stop(ctx) }()
		for refused := false; !refused; { // until the gateway says that it stops
			_, err := oslorpc.Call[string](ctx, c.Prepare(oslorpc.WithFailFast(true)), "whoami", nil)
			refused = err != nil
		}
		if err := <-stopped; err != nil {
			t.Fatal(err)
		}
		g = f.restart(t, g)
		typed := v1.NewInventoryServiceClient(c)
		if _, err := typed.GetVolume(ctx, &v1.GetVolumeRequest{Name: "v"}); err != nil {
			t.Errorf("typed: %v", err)
		}
		watch, err := typed.WatchVolumes(ctx, &v1.WatchVolumesRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := watch.Recv(); err != nil {
			t.Errorf("a stream: %v", err)
		}
	}
}

// TestTypedMessagesNameTheirTopic checks that a gateway that does not know an instance can find it,
// since typed messages name the topic in headers or in their session.
func TestTypedMessagesNameTheirTopic(t *testing.T) {
	f := newFleet(t)
	f.serve(t, "a")
	said := make(chan rpc.Target, 1)
	g := f.gateway(t, "gw", oslorpc.WithInterceptors(oslorpc.Interceptor{
		Accept: func(ctx context.Context, m *rpc.Message) (context.Context, error) {
			if m.Method == "GetVolume" { // it is asked about watches, too
				said <- m.Target
			}
			return ctx, nil
		},
	}))
	for _, carrier := range []rpc.Carrier{rpc.CarrierUnary, rpc.CarrierSession} {
		transport := open(t, "gateway://"+g.addr, oslorpc.WithCarrier(carrier))
		typed := v1.NewInventoryServiceClient(transport.Client(oslorpc.Target{Topic: topic}))
		if _, err := typed.GetVolume(bounded(t), &v1.GetVolumeRequest{Name: "v"}); err != nil {
			t.Error(err)
		}
		if target := <-said; target.Topic != topic {
			t.Errorf("%s: the message names %+v", carrier, target)
		}
	}
}
