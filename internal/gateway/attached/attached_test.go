package attached

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/leak"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestMain(m *testing.M) { leak.Main(m) }

// stream is the stream of a process that the test simulates.
type stream struct {
	Stream

	ctx      context.Context
	cancel   context.CancelFunc
	requests chan *pb.AttachRequest
	answers  chan *pb.AttachPublished
	ended    chan error
}

func (s *stream) Context() context.Context { return s.ctx }

func (s *stream) Recv() (*pb.AttachRequest, error) {
	select {
	case m, ok := <-s.requests:
		if !ok {
			return nil, io.EOF
		}
		return m, nil
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
}

func (s *stream) Send(m *pb.AttachResponse) error {
	if published := m.GetPublished(); published != nil {
		s.answers <- published
	}
	return nil
}

// links is a carrier that connects to attached processes.
type links struct {
	carrier.Carrier

	servers *Servers
}

func (l links) Get(key carrier.Key) carrier.Link { return link{key: key, servers: l.servers} }
func (l links) Put(carrier.Link)                 {}

type link struct {
	carrier.Link

	key     carrier.Key
	servers *Servers
}

func (l link) Connect(ctx context.Context) error {
	_, err := l.servers.Dial(ctx, l.key.Addr)
	return err
}

func (l link) Explain(_ string, err error) (rpc.Kind, string) {
	return rpc.Unreachable, fmt.Sprint(err)
}

// world is a gateway.
type world struct {
	*testing.T
	*Servers

	running sync.WaitGroup
}

func bubble(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t}
		w.Servers = New(Config{
			Announce: func(context.Context) error { w.Beside("gateway", "10.0.0.1:1"); return nil }, Settle: func() {}, Log: slog.New(slog.DiscardHandler),
		})
		w.Use(links{servers: w.Servers})
		f(w)
		w.running.Wait()
	})
}

// attachAs attaches a process that proves a name.
func (w *world) attachAs(name string) *stream {
	s := &stream{requests: make(chan *pb.AttachRequest), answers: make(chan *pb.AttachPublished, 10), ended: make(chan error, 1)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	peer := rpc.Peer{Addr: "10.0.0.9:1"}
	if name != "" {
		peer.Identity = rpc.Identity{Proof: rpc.ProofTLS, Names: []string{name}}
	}
	w.running.Go(func() {
		defer s.cancel()
		s.ended <- w.attach(s, peer, func(*rpc.Instance) error { return nil })
	})
	return s
}

// publish publishes instances and returns the gateway's answer.
func (s *stream) publish(list ...*pb.Instance) *spb.Status {
	s.requests <- &pb.AttachRequest{Frame: &pb.AttachRequest_Publish{Publish: &pb.AttachPublish{Instances: list}}}
	select {
	case answer := <-s.answers:
		if len(answer.GetStatus()) == 0 {
			return nil
		}
		st := &spb.Status{}
		if err := proto.Unmarshal(answer.GetStatus(), st); err != nil {
			panic(err)
		}
		return st
	case err := <-s.ended:
		return &spb.Status{Message: fmt.Sprintf("the stream ended: %v", err)}
	}
}

func at(boot, id, server string) *pb.Instance {
	return &pb.Instance{Id: id, BootId: boot, Exchange: "nova", Topic: "compute", Server: server, State: pb.State_STATE_ACTIVE}
}

func (w *world) names() string {
	var names []string
	for _, i := range w.Beside("gateway", "10.0.0.1:1") {
		names = append(names, i.Server)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// Instances that a process must not publish are refused, and its earlier publication stays.
func TestWrongPublications(t *testing.T) {
	bubble(t, func(w *world) {
		s := w.attachAs("")
		if st := s.publish(at("b1", "b1.1", "good")); st != nil {
			t.Fatal(st)
		}
		odd := at("b1", "b1.2", "odd")
		odd.Implemented = []*pb.Implementation{{Version: "one"}}
		for says, list := range map[string][]*pb.Instance{
			"must have":      {at("b1", "", "x")},
			"boot id":        {at("b2", "b2.1", "x")},
			"two servers":    {at("b1", "b1.1", "x"), at("b1", "b1.1", "y")},
			"may have 256":   {at("b1", strings.Repeat("x", 257), "x")},
			"version":        {odd},
			"topic":          {{Id: "b1.3", BootId: "b1", Exchange: "nova", Server: "x"}},
			"publishes 1001": slices.Repeat([]*pb.Instance{at("b1", "b1.1", "x")}, 1001),
		} {
			if st := s.publish(list...); !strings.Contains(st.GetMessage(), says) {
				t.Errorf("got %q, want %q", st.GetMessage(), says)
			}
			if got := w.names(); got != "good" {
				t.Errorf("%s: announced are %q", says, got)
			}
		}
		close(s.requests)
		<-s.ended
		if got := w.names(); got != "" {
			t.Errorf("after the end: %q", got)
		}
	})
}

// A process can replace its own earlier stream, but not the stream of another process.
func TestSameBootID(t *testing.T) {
	bubble(t, func(w *world) {
		first := w.attachAs("dns:a")
		if st := first.publish(at("b1", "b1.1", "a")); st != nil {
			t.Fatal(st)
		}
		other := w.attachAs("dns:other")
		if st := other.publish(at("b1", "b1.1", "a")); !strings.Contains(st.GetMessage(), "another process") {
			t.Errorf("another process took its place: %v", st)
		}
		if st := other.publish(at("b2", "b1.1", "a")); !strings.Contains(st.GetMessage(), "b1.1") {
			t.Errorf("another process took its id: %v", st)
		}
		second := w.attachAs("dns:a")
		if st := second.publish(at("b1", "b1.1", "a")); st != nil {
			t.Errorf("it cannot come back: %v", st)
		}
		<-first.ended
		synctest.Wait()
		if got := w.names(); got != "a" || len(w.List()) != 1 {
			t.Errorf("announced are %q", got)
		}
		close(second.requests)
		close(other.requests)
	})
}

// A frame that is too large ends the stream. So does a broken stream, and a gateway that closes.
func TestEnds(t *testing.T) {
	for name, end := range map[string]func(w *world, s *stream){
		"a large frame": func(_ *world, s *stream) {
			s.requests <- &pb.AttachRequest{Frame: &pb.AttachRequest_Data{Data: make([]byte, maxFrame+1)}}
		},
		"a lost stream": func(_ *world, s *stream) { s.cancel() },
		"its end":       func(_ *world, s *stream) { close(s.requests) },
		"the gateway":   func(w *world, _ *stream) { w.Close() },
	} {
		bubble(t, func(w *world) {
			s := w.attachAs("")
			if st := s.publish(at("b1", "b1.1", "a")); st != nil {
				t.Fatal(st)
			}
			began := time.Now()
			end(w, s)
			synctest.Wait()
			if got := w.names(); got != "" || time.Since(began) != 0 {
				t.Errorf("%s: announced are %q", name, got)
			}
			if _, err := w.Dial(t.Context(), "attached:b1"); err == nil {
				t.Errorf("%s: it can be dialled", name)
			}
		})
	}
}

// outer is a registry whose updates the test sets.
type outer struct {
	registry.Registry

	notify func(registry.Update)
	list   []rpc.Instance
}

func (o *outer) Watch(_ registry.Topic, notify func(registry.Update)) (stop func()) {
	o.notify = notify
	return func() {}
}

func (o *outer) List(context.Context) ([]rpc.Instance, error) { return o.list, nil }

// The clients of the gateway see attached servers immediately, no server twice, and also the
// servers of the registry.
func TestView(t *testing.T) {
	bubble(t, func(w *world) {
		o := &outer{}
		r := w.Registry(o)
		var mu sync.Mutex
		var seen string
		var failed error
		stop := r.Watch(registry.Topic{Exchange: "nova", Name: "compute"}, func(u registry.Update) {
			mu.Lock()
			defer mu.Unlock()
			if failed = u.Err; u.Err != nil {
				return
			}
			var names []string
			for _, i := range u.Instances {
				names = append(names, i.Server+"@"+i.Addr)
			}
			slices.Sort(names)
			seen = strings.Join(names, " ")
		})
		want := func(when, list string, fails bool) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if seen != list || (failed != nil) != fails {
				t.Errorf("%s: the clients see %q, %v", when, seen, failed)
			}
		}
		of := func(boot, id, server, addr string) rpc.Instance {
			return rpc.Instance{ID: id, BootID: boot, Exchange: "nova", Topic: "compute", Server: server, Addr: addr}
		}
		s := w.attachAs("")
		if st := s.publish(at("b1", "b1.1", "edge")); st != nil {
			t.Fatal(st)
		}
		want("before the registry was read", "", false)
		o.list = []rpc.Instance{
			of("p", "p.1", "near", "10.0.0.2:1"), of("gateway", "b1.1", "edge", "10.0.0.1:1"), of("gateway2", "b1.1", "edge", "10.0.0.3:1"),
		}
		o.notify(registry.Update{Instances: o.list})
		want("all", "edge@attached:b1 near@10.0.0.2:1", false)
		if list, err := r.List(t.Context()); err != nil || len(list) != 2 {
			t.Errorf("listed are %v, %v", list, err)
		}
		o.notify(registry.Update{Err: errors.New("away")})
		want("an outage", "edge@attached:b1 near@10.0.0.2:1", true)
		close(s.requests)
		<-s.ended
		want("an outage, and the end of the stream", "edge@10.0.0.3:1 near@10.0.0.2:1", true)
		stop()
		if len(w.views) != 0 {
			t.Error("the watch is still there")
		}
	})
}
