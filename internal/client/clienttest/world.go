package clienttest

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/oslorpc/oslorpc/internal/client"
	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/endpoint"
	"github.com/oslorpc/oslorpc/internal/errtype"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/phase"
	"github.com/oslorpc/oslorpc/internal/service"
	"github.com/oslorpc/oslorpc/internal/typed"
	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// exchange is the exchange of all messages. maxSize limits their size.
const (
	exchange = "openstack"
	maxSize  = 1 << 20
)

// world is one client process, with servers.
type world struct {
	t        *testing.T
	network  Network
	registry *fake
	servers  map[string]*server
	quiet    *slog.Logger
	// interceptors are the interceptors of the shared transport. The first client makes this
	// transport.
	interceptors []rpc.Interceptor
	shared       *client.Transport
}

func newWorld(t *testing.T, n Network) *world {
	t.Helper()
	return &world{t: t, network: n, registry: &fake{}, servers: map[string]*server{}, quiet: slog.New(slog.DiscardHandler)}
}

// transport returns a transport that is closed when the test ends.
func (w *world) transport(interceptors []rpc.Interceptor) *client.Transport {
	w.t.Helper()
	t := client.NewTransport(client.Config{
		Registry: w.registry, Carrier: w.network.Carrier, Exchange: exchange, Caller: "tester",
		Metadata: outgoing, Interceptors: interceptors, Errors: &errtype.Registry{Log: w.quiet}, Log: w.quiet,
	})
	w.t.Cleanup(t.Close)
	return t
}

// client returns a client of the shared transport.
func (w *world) client(target rpc.Target, changes ...func(*client.Settings)) *client.Client {
	w.t.Helper()
	if w.shared == nil {
		w.shared = w.transport(w.interceptors)
	}
	s := client.Settings{Target: target, Retry: -1}
	for _, change := range changes {
		change(&s)
	}
	return w.shared.Client(s)
}

// agents returns a client of the topic agents.
func (w *world) agents(changes ...func(*client.Settings)) *client.Client {
	return w.client(rpc.Target{Topic: "agents"}, changes...)
}

// inventory returns a client of the typed service.
func (w *world) inventory(changes ...func(*client.Settings)) *client.Client {
	return w.client(rpc.Target{}, changes...)
}

type metadataKey struct{}

// outgoing returns the metadata that a test put into a context.
func outgoing(ctx context.Context) rpc.Metadata {
	md, _ := ctx.Value(metadataKey{}).(rpc.Metadata)
	return md
}

// server is a process with one server, which serves dynamic methods on the topic agents and the
// typed service.
type server struct {
	name  string
	phase *phase.Machine
	kill  func()

	mu       sync.Mutex
	ran      []string                // methods, in the order in which they began
	metadata map[string]rpc.Metadata // by method
	typed    []any                   // messages that typed methods got
	gate     chan struct{}           // what "wait" waits for
	refuse   error                   // what the intake answers to each message; nil to accept
}

// serve starts servers with the given names. Each implements the given version.
func (w *world) serve(version string, names ...string) {
	w.t.Helper()
	for _, name := range names {
		s := &server{name: name, phase: phase.Opened(), metadata: map[string]rpc.Metadata{}, gate: make(chan struct{})}
		w.servers[name] = s
		s.start(w, version)
	}
	w.announce(version, names...)
}

func (s *server) start(w *world, version string) {
	w.t.Helper()
	in := intake.New(intake.Config{
		BootID: "boot-" + s.name, Exchange: exchange, MaxSize: maxSize, Log: w.quiet,
		Interceptors: []rpc.Interceptor{{Accept: s.accept}},
	})
	var list []*intake.Server
	for _, topic := range [2]string{"agents", "inventory"} {
		i := instance(topic, s.name, version)
		table, services := s.offer(w, topic, version)
		d := dispatch.New(dispatch.Config{Name: s.name, Table: table, Limits: dispatch.DefaultLimits, Phase: s.phase, Log: w.quiet})
		w.t.Cleanup(func() { _ = d.Stop(canceled()) })
		list = append(list, &intake.Server{Instance: i, Dispatch: d, Services: services})
	}
	in.SetServers(list)
	s.kill = sync.OnceFunc(w.network.Listen("addr-"+s.name, in))
	w.t.Cleanup(s.kill)
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// offer returns what the server offers on a topic.
func (s *server) offer(w *world, topic, version string) (*dispatch.Table, map[string]*intake.Service) {
	w.t.Helper()
	if topic == "agents" {
		e, err := endpoint.Endpoint{Version: version, Methods: s.methods()}.Build()
		if err != nil {
			w.t.Fatal(err)
		}
		return dispatch.NewTable([]dispatch.Endpoint{e}), nil
	}
	rules, err := typed.FindService(v1.InventoryService_ServiceDesc.ServiceName)
	if err != nil {
		w.t.Fatal(err)
	}
	offered := *rules
	offered.Version = parse(w.t, version)
	e := dispatch.Endpoint{Namespaces: []string{offered.Namespace}, Version: offered.Version, Service: offered.Name, Methods: map[string]*dispatch.Method{}}
	for name, m := range offered.Methods {
		if offered.Version.Serves(m.Since) {
			e.Methods[name] = &dispatch.Method{Streaming: m.ServerStreams, Exposed: true}
		}
	}
	typed := service.NewTyped(&offered, &v1.InventoryService_ServiceDesc, &inventory{server: s})
	return dispatch.NewTable([]dispatch.Endpoint{e}), map[string]*intake.Service{offered.Name: typed}
}

// accept records the metadata of a message, and refuses the message if the test wants that.
func (s *server) accept(ctx context.Context, m *rpc.Message) (context.Context, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.metadata[m.Method] = m.Metadata
	return ctx, s.refuse
}

// refuses makes the server answer each message with err. If err is nil, the server accepts messages
// again.
func (s *server) refuses(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = err
}

// begin records that a method began.
func (s *server) begin(method string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ran = append(s.ran, method)
}

// runs returns the methods that began.
func (s *server) runs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ran)
}

// told returns the metadata of the last message for a method.
func (s *server) told(method string) rpc.Metadata {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.metadata[method]
}

// instance returns the registration of a server.
func instance(topic, name, version string) rpc.Instance {
	i := rpc.Instance{
		ID: "boot-" + name + "." + topic, BootID: "boot-" + name, Exchange: exchange, Topic: topic, Server: name, Addr: "addr-" + name,
		State: rpc.StateActive,
	}
	namespace := ""
	if topic == "inventory" {
		namespace = "volumes"
	}
	v, _ := rpc.ParseVersion(version)
	i.Implemented = []rpc.Implementation{{Namespace: namespace, Version: v}}
	return i
}

// announce adds servers to the registry.
func (w *world) announce(version string, names ...string) {
	for _, name := range names {
		for _, topic := range [2]string{"agents", "inventory"} {
			w.registry.add(instance(topic, name, version))
		}
	}
}

// fake is a registry whose registrations the test sets. Watches are notified immediately.
type fake struct {
	registry.Registry

	mu      sync.Mutex
	list    []rpc.Instance
	watches map[*func(registry.Update)]registry.Topic
}

func (r *fake) add(i rpc.Instance) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, i)
	for notify, topic := range r.watches {
		(*notify)(r.update(topic))
	}
}

func (r *fake) update(topic registry.Topic) registry.Update {
	var u registry.Update
	for _, i := range r.list {
		if (registry.Topic{Exchange: i.Exchange, Name: i.Topic}) == topic {
			u.Instances = append(u.Instances, i)
		}
	}
	return u
}

// Watch implements [registry.Registry].
func (r *fake) Watch(topic registry.Topic, notify func(registry.Update)) (stop func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watches == nil {
		r.watches = map[*func(registry.Update)]registry.Topic{}
	}
	r.watches[&notify] = topic
	notify(r.update(topic))
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watches, &notify)
	}
}

func parse(t *testing.T, version string) rpc.Version {
	t.Helper()
	v, err := rpc.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// must fails the test if there is an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantError checks the kind of an error, whether it says that nothing ran, and the words in its
// text.
func wantError(t *testing.T, err error, kind rpc.Kind, notStarted bool, words ...string) {
	t.Helper()
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok {
		t.Fatalf("got %v, want the kind %s", err, kind.Name())
	}
	if e.Kind != kind || e.NotStarted != notStarted {
		t.Errorf("got %s, not started %v, want %s, %v: %v", e.Kind.Name(), e.NotStarted, kind.Name(), notStarted, err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error lacks %q: %v", word, err)
		}
	}
}

// wantRuns checks which methods began on a server.
func wantRuns(t *testing.T, s *server, methods ...string) {
	t.Helper()
	if got := s.runs(); !slices.Equal(got, methods) {
		t.Errorf("%s ran %v, want %v", s.name, got, methods)
	}
}
