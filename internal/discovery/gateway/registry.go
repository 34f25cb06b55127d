// Package gateway is the registry of programs that reach a fleet only through gateways. A gateway
// lists the instances of a topic, and forwards the messages for them. In the lists of this
// registry, every instance has the address of the gateway in use, so all other packages work as
// with any other registry. When that gateway is lost or stops, the next one replaces it.
//
// Servers that publish are attached to a gateway; see [discovery.Attacher].
package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Registry finds instances through gateways. It is safe for concurrent use.
type Registry struct {
	publisher *publisher
	addrs     []string
	dial      Dial
	life      context.Context //nolint:containedctx // It is the registry's own.
	end       context.CancelFunc
	watching  sync.WaitGroup

	mu      sync.Mutex // guards what follows
	current *gate      // nil until one is needed
	next    int        // the gateway to use after the current one
	watches map[*registry.Watch]bool
}

// String names the registry in errors.
func (r *Registry) String() string { return "the gateway at " + strings.Join(r.addrs, " or ") }

// gate is the connection to the gateway in use.
type gate struct {
	addr string
	conn Conn
	// used ends when another gateway replaces this one.
	used context.Context //nolint:containedctx // It is the gateway's own.
	left context.CancelFunc
}

// Open opens gateway://HOST:PORT,HOST:PORT. Call Use before anything else.
func Open(url string, c registry.Config) (*Registry, error) {
	list, ok := strings.CutPrefix(url, "gateway://")
	if !ok || list == "" || strings.ContainsAny(list, "/?#@") {
		return nil, failure.Invalid("transport URL %q: write gateway://host:port, or several addresses with commas between them", url)
	}
	r := &Registry{watches: map[*registry.Watch]bool{}}
	for addr := range strings.SplitSeq(list, ",") {
		if _, _, err := discovery.SplitAddr(addr); err != nil {
			return nil, failure.Invalid("transport URL: the address %q of a gateway: %v", addr, err)
		}
		if slices.Contains(r.addrs, addr) {
			return nil, failure.Invalid("transport URL: the gateway %q appears twice", addr)
		}
		r.addrs = append(r.addrs, addr)
	}
	r.next = rand.N(len(r.addrs))
	r.life, r.end = context.WithCancel(context.Background())
	r.publisher = newPublisher(r.addrs, func(addr string) (Conn, error) { return r.dial(addr) }, c.Log)
	return r, nil
}

// Use sets the function that connects to gateways.
func (r *Registry) Use(dial Dial) { r.dial = dial }

// Attach implements [discovery.Attacher].
func (r *Registry) Attach() (l net.Listener, addr string) { return r.publisher.Attach() }

// Lapses implements [registry.Lapser].
func (r *Registry) Lapses(notify func(reason string)) { r.publisher.Lapses(notify) }

// Publish implements [registry.Registry].
func (r *Registry) Publish(ctx context.Context, list []rpc.Instance) error {
	return r.publisher.Publish(ctx, list)
}

// Elsewhere implements [registry.Elsewhere]: other processes see instances attached to a gateway in
// its registry.
func (r *Registry) Elsewhere() bool { return true }

// Close implements [registry.Registry].
func (r *Registry) Close(ctx context.Context) error {
	err := r.publisher.close(ctx)
	r.end()
	r.watching.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for w := range r.watches {
		w.Stop()
	}
	if r.current != nil {
		r.current.close()
	}
	return err
}

func (g *gate) close() {
	g.left()
	_ = g.conn.Close() // its only error is that it is already closed
}

// gate returns the gateway in use. If there is none, it selects the next one.
func (r *Registry) gate() (*gate, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current != nil {
		return r.current, nil
	}
	if err := r.life.Err(); err != nil {
		return nil, failure.Invalid("the registry is closed")
	}
	addr := r.addrs[r.next]
	r.next = (r.next + 1) % len(r.addrs)
	conn, err := r.dial(addr)
	if err != nil {
		return nil, err
	}
	g := &gate{addr: addr, conn: conn}
	g.used, g.left = context.WithCancel(r.life)
	r.current = g
	return g, nil
}

// leave ends the use of a gateway that failed or stops. The next call of gate selects another one.
func (r *Registry) leave(g *gate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current == g {
		r.current = nil
		g.close()
	}
}

// List implements [registry.Registry]. It asks each gateway at most once.
func (r *Registry) List(ctx context.Context) ([]rpc.Instance, error) {
	var failures []error
	for range r.addrs {
		g, err := r.gate()
		if err != nil {
			return nil, err
		}
		response, err := pb.NewGatewayServiceClient(g.conn).List(ctx, &pb.ListRequest{}, received)
		if err == nil {
			return decoded(response.GetInstances(), g.addr, response.GetBootId())
		}
		failures = append(failures, refusedBy(ctx, g, err))
		if ctx.Err() != nil || status.Code(err) == codes.PermissionDenied {
			break
		}
		r.leave(g)
	}
	return nil, asked(failures)
}

// received allows lists up to 64 MiB, enough for a large fleet.
var received = grpc.MaxCallRecvMsgSize(64 << 20)

// decoded returns instances with the address and the boot id of the gateway through which they are
// reached.
func decoded(list []*pb.Instance, addr, bootID string) ([]rpc.Instance, error) {
	instances := make([]rpc.Instance, 0, len(list))
	for _, m := range list {
		i, err := Decode(m, addr)
		if err != nil {
			return nil, &rpc.Error{Kind: rpc.Unreachable, NotStarted: true, Cause: err, Message: fmt.Sprintf("the gateway at %s: %v", addr, err)}
		}
		i.BootID, i.Sessions = bootID, true // the process at the other end is the gateway
		instances = append(instances, i)
	}
	registry.Sort(instances)
	return instances, nil
}

// refusedBy returns the error for a gateway that does not answer a List or a Watch.
func refusedBy(ctx context.Context, g *gate, err error) error {
	if errors.Is(err, io.EOF) {
		err = status.Error(codes.Unavailable, "it ended the watch")
	}
	if status.Code(err) == codes.Unimplemented {
		return &rpc.Error{Kind: rpc.Unreachable, NotStarted: true, Cause: err, Message: fmt.Sprintf(
			"at %s is no gateway: give gateway:// the address of an oslorpc gateway (%s)", g.addr, status.Convert(err).Message())}
	}
	e := failed(ctx, g.conn, g.addr, err)
	if e.Kind == rpc.Refused {
		e.Kind = rpc.Unreachable
	}
	return e
}

// failed returns the error for an RPC to a gateway that failed.
func failed(ctx context.Context, conn Conn, addr string, err error) *rpc.Error {
	e := *rpcstatus.Decode(err, false)
	e.NotStarted = true
	if e.Kind == rpc.Canceled && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		e.Kind = rpc.Timeout
	}
	e.Message = fmt.Sprintf("the gateway at %s: %s", addr, e.Message)
	if e.Kind == rpc.Timeout {
		e.Message = fmt.Sprintf("the gateway at %s did not answer in time", addr)
	}
	if e.Kind == rpc.Timeout || e.Kind == rpc.Unreachable {
		e.Message = cmp.Or(conn.Why("the gateway"), e.Message)
	}
	return &e
}

// asked returns the error if no gateway answered.
func asked(failures []error) error {
	if len(failures) == 1 {
		return failures[0]
	}
	texts := make([]string, len(failures))
	for i, err := range failures {
		texts[i] = failure.Text(err)
	}
	return &rpc.Error{Kind: rpc.KindOf(failures[0]), NotStarted: true, Cause: errors.Join(failures...),
		Message: "no gateway answers: " + strings.Join(texts, "; ")}
}

// Watch implements [registry.Registry].
func (r *Registry) Watch(topic registry.Topic, notify func(registry.Update)) (stop func()) {
	w := registry.StartWatch(notify)
	ctx, cancel := context.WithCancel(r.life)
	ended := make(chan struct{})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watches[w] = true
	if r.life.Err() == nil {
		r.watching.Go(func() {
			defer close(ended)
			r.keep(ctx, topic, w)
		})
	} else {
		close(ended)
	}
	return func() {
		cancel()
		<-ended
		r.mu.Lock()
		delete(r.watches, w)
		r.mu.Unlock()
		w.Stop()
	}
}

// keep watches a topic at the gateway in use until ctx ends.
func (r *Registry) keep(ctx context.Context, topic registry.Topic, w *registry.Watch) {
	var failures []error // since a gateway last sent an update
	pause := minPause
	for ctx.Err() == nil {
		g, err := r.gate()
		if err == nil {
			var told bool
			if told, err = watch(ctx, g, topic, w); told {
				failures, pause = nil, minPause
			}
			if ctx.Err() != nil {
				return
			}
			if g.used.Err() == nil {
				r.leave(g)
			} else if errors.Is(err, errLeft) { // another watch has selected another gateway
				continue
			}
		}
		if failures = append(failures, err); len(failures) < len(r.addrs) {
			continue
		}
		w.Send(registry.Update{Err: asked(failures)})
		failures = nil
		late := time.NewTimer(pause/2 + rand.N(pause/2))
		pause = min(2*pause, maxPause)
		select {
		case <-late.C:
		case <-ctx.Done():
		}
		late.Stop()
	}
}

// errLeft is the error of a watch that ended because another gateway is in use now.
var errLeft = errors.New("another gateway is in use")

// watch passes a gateway's updates to a watch. It returns when the stream ends, and whether there
// was any update.
func watch(ctx context.Context, g *gate, topic registry.Topic, w *registry.Watch) (told bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(g.used, cancel)() //nolint:contextcheck // Both contexts end the watch.
	request := &pb.WatchRequest{Topic: topic.Name}
	if topic.Exchange != "" {
		request.Exchange = &topic.Exchange
	}
	stream, err := pb.NewGatewayServiceClient(g.conn).Watch(ctx, request, received)
	for err == nil {
		var m *pb.WatchResponse
		if m, err = stream.Recv(); err != nil {
			break
		}
		if m.GetError() != "" {
			w.Send(registry.Update{Err: &rpc.Error{
				Kind: rpc.Unreachable, NotStarted: true, Message: fmt.Sprintf("the gateway at %s: %s", g.addr, m.GetError()),
			}})
			told = true
			continue
		}
		var list []rpc.Instance
		if list, err = decoded(m.GetInstances(), g.addr, m.GetBootId()); err == nil {
			w.Send(registry.Update{Instances: list, Reset: m.GetReset_()})
			told = true
		}
	}
	if g.used.Err() != nil {
		return told, errLeft
	}
	return told, refusedBy(ctx, g, err)
}
