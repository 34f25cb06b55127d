package oslorpc_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/emptypb"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// orderly records the order in which messages run, and whether two run at the same time.
type orderly struct {
	v1.UnimplementedInventoryServiceServer

	mu      sync.Mutex
	running int
	overlap bool
	order   []int
}

func (o *orderly) note(n int) {
	o.mu.Lock()
	o.running++
	o.overlap = o.overlap || o.running > 1
	o.order = append(o.order, n)
	o.mu.Unlock()
	for range 100 { // let others run
		o.mu.Lock()
		o.mu.Unlock()
	}
	o.mu.Lock()
	o.running--
	o.mu.Unlock()
}

func (o *orderly) ReportUsage(_ context.Context, r *v1.ReportUsageRequest) (*emptypb.Empty, error) {
	o.note(int(r.GetBytes()))
	return &emptypb.Empty{}, nil
}

func (o *orderly) ran() (n int, inOrder bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, n := range o.order {
		if n != i {
			return len(o.order), false
		}
	}
	return len(o.order), !o.overlap
}

// Casts with the same order key run one after the other in the order of sending. This includes
// casts of every kind, and casts that waited while the server was held.
func TestCastsWithAnOrderKey(t *testing.T) {
	const n = 300
	send := map[string]func(c *oslorpc.Client, n int) error{
		"cast": func(c *oslorpc.Client, n int) error { return c.Cast(t.Context(), "note", number{n}) },
		"fanout": func(c *oslorpc.Client, n int) error {
			_, err := c.Fanout(t.Context(), "note", number{n})
			return err
		},
		"typed cast": func(c *oslorpc.Client, n int) error {
			_, err := v1.NewInventoryServiceClient(c).ReportUsage(t.Context(), &v1.ReportUsageRequest{Bytes: int64(n)})
			return err
		},
	}
	for name, send := range send {
		t.Run(name, func(t *testing.T) {
			var o orderly
			s := open(t).Server(oslorpc.Target{Topic: "agents", Server: "node1"}, oslorpc.WithHold())
			s.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
				"note": oslorpc.Func(func(_ context.Context, args number) (any, error) {
					o.note(args.N)
					return nil, nil
				}),
			}})
			v1.RegisterInventoryServiceServer(s, &o)
			if err := s.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			c := client(t, oslorpc.WithOrderKey("port 7"))
			for i := range n {
				if err := send(c, i); err != nil {
					t.Fatal(err)
				}
				if i == n/2 {
					if err := s.Release(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
			until(t, "all ran", func() bool {
				ran, _ := o.ran()
				return ran == n
			})
			if _, inOrder := o.ran(); !inOrder {
				t.Errorf("they ran beside each other (%v), or out of order: %v", o.overlap, o.order)
			}
			if err := s.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Calls, monitored calls and multicalls with an order key wait too. Messages with other keys do not
// wait.
func TestCallsWithAnOrderKey(t *testing.T) {
	entered, release := make(chan struct{}, 1), make(chan struct{})
	s := serve(t, "node1", stubborn(entered, release), newAgent("node1").endpoint("1.0"))
	c := client(t, oslorpc.WithOrderKey("a"))
	first := callInBackground(c, "block")
	<-entered
	waiting := []<-chan error{
		callInBackground(c, "whoami"), callInBackground(c.Prepare(oslorpc.WithCallMonitorTimeout(time.Minute)), "whoami"),
	}
	until(t, "both wait", func() bool { return queued(t, open(t), s) == 2 })
	for _, other := range []*oslorpc.Client{c.Prepare(oslorpc.WithOrderKey("b")), c.Prepare(oslorpc.WithOrderKey(oslorpc.None))} {
		if got, err := oslorpc.Call[string](t.Context(), other, "whoami", nil); got != "node1" || err != nil {
			t.Errorf("got %v, %v", got, err)
		}
	}
	if n := queued(t, open(t), s); n != 2 {
		t.Errorf("%d calls with the key wait, want 2", n)
	}
	close(release)
	for _, ended := range append(waiting, first) {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{strings.Repeat("x", 256), "a\xff", "a\n"} {
		err := c.Prepare(oslorpc.WithOrderKey(bad)).Cast(t.Context(), "note", nil)
		wantKind(t, err, oslorpc.InvalidTarget, true)
		wantText(t, err, "order key")
	}
}
