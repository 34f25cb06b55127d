package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/gateway"
	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// attaching starts a gateway that accepts attached servers.
func (f *fleet) attaching(t *testing.T, name string, options ...oslorpc.TransportOption) *gate {
	t.Helper()
	g := gateway.New()
	g.TakeServers()
	gate := &gate{transport: f.open(t, append(options, asGateway{oslorpc.WithListen("127.0.0.1:0"), g})...)}
	gate.server = gate.transport.Server(oslorpc.Target{Topic: gateway.Topic, Server: name})
	if err := gate.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	instance, _ := gate.server.Instance()
	gate.addr = instance.Addr
	return gate
}

// attached starts a server that attaches to one of the gateways.
func attached(t *testing.T, name string, gates ...*gate) *shop {
	t.Helper()
	addrs := make([]string, len(gates))
	for i, g := range gates {
		addrs[i] = g.addr
	}
	f := &fleet{"gateway://" + strings.Join(addrs, ",")}
	s := &shop{name: name, running: make(chan struct{}, 16), gone: make(chan error, 16)}
	s.server = f.open(t).Server(oslorpc.Target{Topic: topic, Server: name})
	s.server.Add(oslorpc.Endpoint{Version: "1.4", Methods: s.methods()})
	v1.RegisterInventoryServiceServer(s.server, s)
	if err := s.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.instance, _ = s.server.Instance()
	return s
}

// await waits until a condition holds.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

// names returns the servers that a transport finds on the topic.
func names(t *testing.T, transport *oslorpc.Transport) string {
	t.Helper()
	list, err := transport.Instances(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range list {
		if i.Topic == topic {
			names = append(names, i.Server)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// Attached servers are like all others for clients that use discovery and for clients of the
// gateway: by topic, by name and in a fanout, for dynamic and typed messages.
func TestAttachedServersAreAsOthers(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	g := f.attaching(t, "gw")
	a, b := attached(t, "a", g), attached(t, "b", g)
	c := f.serve(t, "c")
	for what, url := range map[string]string{"discovery": f.url, "gateway": "gateway://" + g.addr} {
		transport := open(t, url)
		if got := names(t, transport); got != "a, b, c" {
			t.Errorf("%s: found are %q", what, got)
		}
		client := transport.Client(oslorpc.Target{Topic: topic})
		seen := map[string]bool{}
		for range 12 {
			name, err := oslorpc.Call[string](bounded(t), client, "whoami", nil)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			seen[name] = true
		}
		if len(seen) != 3 {
			t.Errorf("%s: only %v were called", what, seen)
		}
		named := transport.Client(oslorpc.Target{Topic: topic, Server: "b"})
		if name, err := oslorpc.Call[string](bounded(t), named, "whoami", nil); name != "b" || err != nil {
			t.Errorf("%s: got %q, %v", what, name, err)
		}
		before := []int{a.count(), b.count(), c.count()}
		report, err := client.Fanout(bounded(t), "whoami", nil)
		if err != nil || len(report.Accepted) != 3 {
			t.Errorf("%s: the fanout: %+v, %v", what, report, err)
		}
		await(t, "each server runs its copy", func() bool {
			return a.count() == before[0]+1 && b.count() == before[1]+1 && c.count() == before[2]+1
		})
		var items []int
		for n, err := range oslorpc.Multicall[int](bounded(t), named, "count", nil) {
			if err != nil {
				t.Fatal(err)
			}
			items = append(items, n)
		}
		if !slices.Equal(items, []int{1, 2, 3}) {
			t.Errorf("%s: the items are %v", what, items)
		}
		_, err = oslorpc.Call[string](bounded(t), named, "fail", nil)
		if e, ok := errors.AsType[*rpc.Error](err); !ok || e.Kind != rpc.Remote || e.Server != "b" || e.InstanceID != b.instance.ID {
			t.Errorf("%s: got %+v", what, err)
		}
		reply, err := v1.NewInventoryServiceClient(named).GetVolume(bounded(t), &v1.GetVolumeRequest{Name: "v"})
		if reply.GetName() != "b/v" || err != nil {
			t.Errorf("%s: got %v, %v", what, reply, err)
		}
		long := strings.Repeat("x", 2<<20)
		echoed, err := oslorpc.Call[map[string]string](bounded(t), named, "echo", map[string]string{"long": long})
		if err != nil || echoed["long"] != long {
			t.Errorf("%s: a large message: %v", what, err)
		}
	}
	if err := a.server.Stop(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if got := names(t, f.open(t)); got != "b, c" {
		t.Errorf("after the stop, found are %q", got)
	}
}

// If the attached process disappears while a message runs, the message soon has an unknown outcome.
// A message that was not sent goes to another server.
func TestAttachedProcessVanishes(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	g := f.attaching(t, "gw")
	cable := newCable(t, g.addr)
	a := attached(t, "a", &gate{addr: cable.addr})
	client := f.open(t).Client(oslorpc.Target{Topic: topic, Server: "a"})
	failed := make(chan error, 1)
	go func() {
		_, err := oslorpc.Call[string](bounded(t), client, "wait", nil)
		failed <- err
	}()
	<-a.running
	cable.cut()
	await(t, "it is withdrawn", func() bool { return names(t, g.transport) == "" })
	select {
	case err := <-failed:
		if rpc.KindOf(err) != rpc.OutcomeUnknown || rpc.SafeToRetry(err) {
			t.Errorf("got %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the caller still waits")
	}
	hasty := f.open(t).Client(oslorpc.Target{Topic: topic, Server: "a"}, oslorpc.WithFailFast(true))
	_, err := oslorpc.Call[string](bounded(t), hasty, "whoami", nil)
	if err == nil || !rpc.SafeToRetry(err) {
		t.Errorf("a message that cannot be sent: %v", err)
	}
	if err := cable.mend(); err != nil {
		t.Fatal(err)
	}
	await(t, "it is attached again", func() bool { return names(t, g.transport) == "a" })
	if name, err := oslorpc.Call[string](bounded(t), client, "whoami", nil); name != "a" || err != nil {
		t.Errorf("got %q, %v", name, err)
	}
}

// While callers send, one of two gateways stops and another starts. Every call is answered, and
// nothing runs twice.
func TestAttachedServersMove(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	first, second := f.attaching(t, "one"), f.attaching(t, "two")
	a := attached(t, "a", first, second)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var calling sync.WaitGroup
	stop := make(chan struct{})
	var mu sync.Mutex
	answered := 0
	for n := range 8 {
		client := f.open(t).Client(oslorpc.Target{Topic: topic})
		calling.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := oslorpc.Call[string](ctx, client, "whoami", nil); err != nil {
					t.Errorf("caller %d, call %d: %v", n, i, err)
					return
				}
				mu.Lock()
				answered++
				mu.Unlock()
			}
		})
	}
	at := first
	if !isAttached(t, f, first) {
		at = second
	}
	if err := at.server.Stop(ctx); err != nil {
		t.Error(err)
	}
	await(t, "it is attached to the other", func() bool { return names(t, f.open(t)) == "a" })
	mu.Lock()
	seen := answered
	mu.Unlock()
	await(t, "calls go on", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return answered > seen+100
	})
	close(stop)
	calling.Wait()
	if a.count() != answered {
		t.Errorf("%d calls were answered, and %d ran", answered, a.count())
	}
}

// isAttached reports whether the server is announced at a gateway.
func isAttached(t *testing.T, f *fleet, g *gate) bool {
	t.Helper()
	list, err := f.open(t).Instances(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(list, func(i oslorpc.Instance) bool { return i.Topic == topic && i.Addr == g.addr })
}

// A gateway without the option accepts no attached servers, and says so.
func TestGatewayWithoutAttach(t *testing.T) {
	t.Parallel()
	g := newFleet(t).gateway(t, "gw")
	err := open(t, "gateway://"+g.addr).Server(oslorpc.Target{Topic: topic, Server: "a"}).Start(bounded(t))
	if !strings.Contains(fmt.Sprint(err), "--attach") || !strings.Contains(fmt.Sprint(err), g.addr) {
		t.Errorf("got %v", err)
	}
	err = open(t, "gateway://"+g.addr, oslorpc.WithListen("127.0.0.1:0")).Server(oslorpc.Target{Topic: topic, Server: "a"}).Start(bounded(t))
	if !errors.Is(err, rpc.Invalid) || !strings.Contains(err.Error(), "does not listen") {
		t.Errorf("got %v", err)
	}
}

// A message at one gateway reaches a server that is attached to another gateway, even the first
// message, and whether or not the message names the instance.
func TestAttachedToAnotherGateway(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	here, there := f.attaching(t, "here"), f.attaching(t, "there")
	edge := attached(t, "edge", there)
	for what, url := range map[string]string{"gateway": "gateway://" + here.addr, "discovery": f.url} {
		client := open(t, url).Client(oslorpc.Target{Topic: topic})
		for range 3 {
			if name, err := oslorpc.Call[string](bounded(t), client, "whoami", nil); name != "edge" || err != nil {
				t.Errorf("%s: got %q, %v", what, name, err)
			}
		}
	}
	m := to("", "whoami")
	m.InstanceId = edge.instance.ID
	if _, err := pb.NewRPCServiceClient(here.connect(t)).Call(bounded(t), &pb.CallRequest{Message: m}); err != nil {
		t.Error(err)
	}
	if _, err := pb.NewRPCServiceClient(here.connect(t)).Call(bounded(t), &pb.CallRequest{Message: to("edge", "whoami")}); err != nil {
		t.Error(err)
	}
}
