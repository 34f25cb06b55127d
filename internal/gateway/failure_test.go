package gateway_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// begin sends a call of wait from a stub, waits until a server runs it, and returns a channel for
// its error.
func begin(ctx context.Context, t *testing.T, c pb.RPCServiceClient, s *shop, m *pb.Message) <-chan error {
	t.Helper()
	came := make(chan error, 1)
	go func() {
		_, err := c.Call(ctx, &pb.CallRequest{Message: m})
		came <- err
	}()
	select {
	case <-s.running:
	case <-time.After(patience):
		t.Fatal("the method did not run")
	}
	return came
}

// TestCancellation checks that a method is canceled when its caller leaves.
func TestCancellation(t *testing.T) {
	f := newFleet(t)
	a := f.serve(t, "a")
	c := pb.NewRPCServiceClient(f.gateway(t, "gw").connect(t))
	ctx, cancel := context.WithCancel(bounded(t))
	came := begin(ctx, t, c, a, to("", "wait"))
	cancel()
	if err := <-came; status.Code(err) != codes.Canceled {
		t.Errorf("the caller has %v", err)
	}
	select {
	case <-a.gone:
	case <-time.After(patience):
		t.Error("the method does not see that its caller is gone")
	}
}

// TestDeadline checks that the deadline reaches the method, and that its sender gets a Timeout that
// says that the method may have run.
func TestDeadline(t *testing.T) {
	f := newFleet(t)
	a := f.serve(t, "a")
	c := pb.NewRPCServiceClient(f.gateway(t, "gw").connect(t))
	m := to("", "wait")
	m.Remaining = durationpb.New(300 * time.Millisecond)
	err := <-begin(bounded(t), t, c, a, m)
	if d := detail(t, err); d.GetKind() != pb.ErrorKind_ERROR_KIND_TIMEOUT || d.GetNotStarted() {
		t.Errorf("got %v, %v", err, d)
	}
	<-a.gone
}

// TestServerLost checks that a message that ran on a lost server has an unknown outcome, and that a
// message that was not sent goes to another server.
func TestServerLost(t *testing.T) {
	f := newFleet(t)
	a := f.serve(t, "a")
	g := f.gateway(t, "gw")
	c, ctx := pb.NewRPCServiceClient(g.connect(t)), bounded(t)
	came := begin(ctx, t, c, a, to("a", "wait"))
	b := f.serve(t, "b")
	stopped, force := context.WithCancel(context.Background())
	force() // a stop without patience cuts what runs
	_ = a.server.Stop(stopped)
	if d := detail(t, <-came); d.GetNotStarted() || d.GetServer() != "a" {
		t.Errorf("what ran: %v", d)
	}
	for range 4 {
		if _, err := c.Call(ctx, &pb.CallRequest{Message: to("", "whoami")}); err != nil {
			t.Errorf("a message for any server: %v", err)
		}
	}
	if b.count() != 4 {
		t.Errorf("the other server ran %d messages, want 4", b.count())
	}
	m := to("", "whoami")
	m.InstanceId = a.instance.ID
	_, err := c.Call(ctx, &pb.CallRequest{Message: m})
	if d := detail(t, err); !d.GetNotStarted() {
		t.Errorf("a message for the instance that is gone: %v", err)
	}
}

// TestTooLarge checks that a message that is too large is refused before it is sent, and that the
// error of a result that is too large says that the method ran.
func TestTooLarge(t *testing.T) {
	f := newFleet(t)
	a := f.serve(t, "a")
	g := f.gateway(t, "gw", oslorpc.WithLimits(rpc.Limits{MessageSize: 64 << 10}))
	c, ctx := pb.NewRPCServiceClient(g.connect(t)), bounded(t)
	m := to("", "echo")
	m.Kwargs = text(`{"x":"` + strings.Repeat("x", 70<<10) + `"}`)
	_, err := c.Call(ctx, &pb.CallRequest{Message: m})
	if d := detail(t, err); d.GetKind() != pb.ErrorKind_ERROR_KIND_TOO_LARGE || !d.GetNotStarted() || a.count() != 0 {
		t.Errorf("a large request: %v", err)
	}
	m.Kwargs = text(`{"x":"` + strings.Repeat("x", 60<<10) + `"}`)
	if _, err := c.Call(ctx, &pb.CallRequest{Message: m}); err != nil {
		t.Errorf("a message of nearly the limit: %v", err)
	}
}

// TestStopping checks that a stopping gateway answers its outstanding messages, and refuses others
// with a proof.
func TestStopping(t *testing.T) {
	f := newFleet(t)
	a := f.serve(t, "a")
	g := f.gateway(t, "gw")
	c := pb.NewRPCServiceClient(g.connect(t))
	ctx, cancel := context.WithCancel(bounded(t))
	came := begin(ctx, t, c, a, to("", "wait"))
	stopped := make(chan error, 1)
	go func() { stopped <- g.server.Stop(bounded(t)) }()
	for {
		_, err := c.Call(ctx, &pb.CallRequest{Message: to("", "whoami")})
		if err == nil {
			continue // it has not begun to refuse
		}
		if d := detail(t, err); d.GetKind() != pb.ErrorKind_ERROR_KIND_STOPPING || !d.GetNotStarted() {
			t.Errorf("a message at a gateway that stops: %v", err)
		}
		break
	}
	select {
	case err := <-stopped:
		t.Errorf("the gateway stopped (%v) before it answered what it had", err)
	default:
	}
	cancel()
	<-came
	if err := <-stopped; err != nil {
		t.Errorf("the stop: %v", err)
	}
}

// TestTwoGateways has 32 callers while one of two gateways stops and comes back, again and again.
// No call fails, none exceeds its time limit, and nothing runs twice.
func TestTwoGateways(t *testing.T) {
	f := newFleet(t)
	shops := []*shop{f.serve(t, "a"), f.serve(t, "b")}
	gates := []*gate{f.gateway(t, "gw1"), f.gateway(t, "gw2")}
	ctx := bounded(t)
	var sent, casts atomic.Int64
	var callers sync.WaitGroup
	over := make(chan struct{})
	for range 4 {
		c, _ := behind(t, oslorpc.Target{Topic: topic}, gates...)
		for range 8 {
			callers.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-over:
						return
					default:
					}
					sent.Add(1)
					if n%4 == 0 {
						casts.Add(1)
						if err := c.Cast(ctx, "whoami", nil); err != nil {
							t.Errorf("a cast: %v", err)
							return
						}
					} else if _, err := oslorpc.Call[string](ctx, c, "whoami", nil); err != nil {
						t.Errorf("a call: %v", err)
						return
					}
				}
			})
		}
	}
	for range 3 {
		for n := range gates {
			before := sent.Load()
			for sent.Load() < before+64 && ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
			if err := gates[n].server.Stop(ctx); err != nil {
				t.Error(err)
			}
			gates[n] = f.restart(t, gates[n])
		}
	}
	close(over)
	callers.Wait()
	ran := func() int64 { return int64(shops[0].count() + shops[1].count()) }
	for ran() < sent.Load() && ctx.Err() == nil { // casts run after they were accepted
		time.Sleep(time.Millisecond)
	}
	if ran() != sent.Load() {
		t.Errorf("%d messages ran of %d, %d of them casts", ran(), sent.Load(), casts.Load())
	}
}

// TestQuestionsAboutOtherTopics checks that a gateway finds an instance of a topic to which nothing
// was sent yet.
func TestQuestionsAboutOtherTopics(t *testing.T) {
	f := newFleet(t)
	a := f.serve(t, "a")
	g := f.gateway(t, "gw")
	transport, ctx := open(t, "gateway://"+g.addr), bounded(t)
	list, err := transport.Instances(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range list {
		if i.ID != a.instance.ID {
			continue
		}
		if _, err := transport.Ping(ctx, i); err != nil {
			t.Errorf("ping: %v", err)
		}
		if info, err := transport.Info(ctx, i); err != nil || info.BootID != a.instance.BootID {
			t.Errorf("info: %+v, %v", info, err)
		}
		i.ID = "none.1"
		if _, err := transport.Ping(ctx, i); !errors.Is(err, rpc.Refused) {
			t.Errorf("an unknown instance: %v", err)
		}
	}
	info, err := pb.NewIntrospectionServiceClient(g.connect(t)).GetInfo(ctx, &pb.GetInfoRequest{})
	if err != nil || info.GetGateway() == nil {
		t.Errorf("the gateway says of itself %v, %v", info, err)
	}
}
