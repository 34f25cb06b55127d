package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/carrier/grpccarrier"
	"github.com/oslorpc/oslorpc/internal/fleet"
	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/internal/peer"
	"github.com/oslorpc/oslorpc/internal/peer/peertest"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestMain(m *testing.M) { leak.Main(m) }

// The tests of this package run in faked time (testing/synctest), so sleeping takes no time.

var compute = registry.Topic{Exchange: "openstack", Name: "compute"}

// fake is a registry whose updates the test sets.
type fake struct {
	registry.Registry

	mu     sync.Mutex
	notify func(registry.Update)
	last   registry.Update // said to a watch that begins, if said is true
	said   bool
}

func (r *fake) Watch(_ registry.Topic, notify func(registry.Update)) (stop func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notify = notify
	if r.said {
		notify(r.last)
	}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.notify = nil
	}
}

func (r *fake) String() string { return "a store at 192.0.2.1" }

func (r *fake) tell(u registry.Update) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, r.said = u, true
	if r.notify != nil {
		r.notify(u)
	}
}

// list makes the registry list exactly these instances.
func (r *fake) list(instances ...rpc.Instance) {
	r.tell(registry.Update{Instances: instances})
}

// world is a fleet with a registry and a network.
type world struct {
	registry *fake
	network  *peertest.Network
	fleet    *fleet.Fleet
	topic    *fleet.Topic
}

// newWorld returns a fleet that watches the topic compute and serves the address "up". It is closed
// when the test ends.
func newWorld(t *testing.T, instances ...rpc.Instance) *world {
	t.Helper()
	t.Log("attempts of fanouts begin early:", begins)
	w := &world{registry: &fake{}, network: &peertest.Network{}}
	w.fleet = fleet.New(w.registry, grpccarrier.New(grpccarrier.Config{Peers: peer.Config{Dial: w.network.Dial}}), "", slog.New(slog.DiscardHandler))
	t.Cleanup(w.fleet.Close)
	t.Cleanup(w.network.Serve("up", nil))
	w.topic = w.fleet.Topic(compute)
	if instances != nil {
		w.registry.list(instances...)
	}
	return w
}

// instance returns an active instance that implements 1.4, in the process at the address "up".
func instance(id string, changes ...func(*rpc.Instance)) rpc.Instance {
	i := rpc.Instance{
		ID: id, BootID: "up", Exchange: compute.Exchange, Topic: compute.Name, Server: "host-" + id, Addr: "up",
		State: rpc.StateActive, Implemented: []rpc.Implementation{{Version: rpc.Version{Major: 1, Minor: 4}}},
	}
	for _, change := range changes {
		change(&i)
	}
	return i
}

// at moves an instance to a process at another address.
func at(addr string) func(*rpc.Instance) {
	return func(i *rpc.Instance) { i.Addr, i.BootID = addr, "boot-"+addr }
}

func old(i *rpc.Instance) { i.Implemented[0].Version.Minor = 1 }

func server(name string) func(*rpc.Instance) {
	return func(i *rpc.Instance) { i.Server = name }
}

// message returns a message for any server that implements 1.2, with changes.
func message(changes ...func(*Message)) *Message {
	m := &Message{
		Target: rpc.Target{Topic: compute.Name}, Method: "build", Query: route.Query{Version: rpc.Version{Major: 1, Minor: 2}},
	}
	for _, change := range changes {
		change(m)
	}
	return m
}

func to(server string) func(*Message) { return func(m *Message) { m.Target.Server = server } }

func rounds(n int) func(*Message) { return func(m *Message) { m.Rounds = n } }

func failFast(m *Message) { m.FailFast = true }

// script contains the answers of instances. It is safe for concurrent use.
type script struct {
	mu      sync.Mutex
	answers map[string][]error // by instance, in order; the last one repeats; without an entry, nil
	sent    []string           // the instances that were sent to, in order
}

// says adds the answers of an instance.
func (s *script) says(id string, answers ...error) *script {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answers == nil {
		s.answers = map[string][]error{}
	}
	s.answers[id] = answers
	return s
}

func (s *script) send(_ context.Context, a Attempt) error {
	id := a.Entry.ID
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, id)
	answers := s.answers[id]
	if len(answers) == 0 {
		return nil
	}
	if len(answers) > 1 {
		s.answers[id] = answers[1:]
	}
	return answers[0]
}

func (s *script) expect(t *testing.T, want ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.sent, want) {
		t.Errorf("it was sent to %v, want %v", s.sent, want)
	}
}

// These are answers of instances.
var (
	full        = error(refusal.New(refusal.Full))
	stopping    = error(refusal.New(refusal.Stopping))
	misdirected = error(refusal.New(refusal.Misdirected))
	notSent     = notStarted(rpc.Unreachable)
	untrusted   = notStarted(rpc.Untrusted)
	tooOld      = notStarted(rpc.UnsupportedVersion)
	noMethod    = notStarted(rpc.NoSuchMethod)
	lost        = mayHaveRun(rpc.OutcomeUnknown)
)

func notStarted(k rpc.Kind) error {
	return &rpc.Error{Kind: k, NotStarted: true, Message: "it did not start"}
}

func mayHaveRun(k rpc.Kind) error { return &rpc.Error{Kind: k, Message: "it may have run"} }

// within returns a context with a deadline.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// deliver delivers a message within a deadline, and returns how long that took.
func (w *world) deliver(t *testing.T, d time.Duration, m *Message, s *script) (time.Duration, error) {
	t.Helper()
	begin := time.Now()
	err := One(within(t, d), w.topic, m, s.send)
	return time.Since(begin), err
}

// expectError checks an error that means that the message did not run.
func expectError(t *testing.T, err error, kind rpc.Kind, words ...string) {
	t.Helper()
	var e *rpc.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *rpc.Error", err)
	}
	if e.Kind != kind || !e.NotStarted {
		t.Errorf("got %s (not started: %v), want %s: %v", e.Kind.Name(), e.NotStarted, kind.Name(), err)
	}
	if e.Target.Topic != compute.Name || e.Method != "build" {
		t.Errorf("the error does not name its message: %v", err)
	}
	for _, word := range words {
		if !strings.Contains(e.Message, word) {
			t.Errorf("the message lacks %q: %s", word, e.Message)
		}
	}
}

// expectLate is like expectError, for a message that timed out.
func expectLate(t *testing.T, err error, kind rpc.Kind, words ...string) {
	t.Helper()
	expectError(t, err, kind, words...)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error does not say that the deadline passed: %v", err)
	}
}

// about checks how long something took.
func about(t *testing.T, took, least, most time.Duration) {
	t.Helper()
	if took < least || took > most {
		t.Errorf("it took %v, want %v to %v", took, least, most)
	}
}

// connOf returns the connection of an attempt.
func connOf(a Attempt) *grpc.ClientConn {
	conn, err := a.Entry.Link.(grpccarrier.Link).Conn()
	if err != nil {
		panic(err)
	}
	return conn
}

// send makes one attempt at an instance, as package delivery does.
func send(ctx context.Context, e *route.Entry) error {
	return message().hand(ctx, ctx, &fleet.Missed{}, &Attempt{Entry: e}, invoke)
}

// bubble runs each test of a table in faked time.
func bubble[T any](t *testing.T, tests map[string]T, run func(*testing.T, T)) {
	t.Helper()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { run(t, tt) })
		})
	}
}

// everybody delivers a message to all instances.
func (w *world) everybody(ctx context.Context, m *Message, send Send) ([]Result, error) {
	a, err := AudienceOf(ctx, w.topic, m)
	if err != nil {
		return nil, err
	}
	var start Start
	if begins {
		start = starting(send)
	}
	return All(ctx, a, send, start), nil
}

// begins decides whether attempts of fanouts begin before others have ended, where that is
// possible. Tests print it when they fail.
var begins = rand.N(2) == 0

// starting returns a function that begins attempts.
func starting(send Send) Start {
	return func(ctx context.Context, a Attempt) Started {
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			err = send(ctx, a)
		}()
		return func(late <-chan struct{}) (error, bool) {
			select {
			case <-done:
				return err, true
			case <-late:
				return nil, false
			}
		}
	}
}

// instanceName returns the name of an instance. The first instances are hung.
func instanceName(i, hung int) string {
	if i < hung {
		return fmt.Sprint("hung-", i)
	}
	return fmt.Sprint("well-", i)
}

// listAll lists an instance for each of these servers.
func (w *world) listAll(servers []string) {
	list := make([]rpc.Instance, len(servers))
	for i, name := range servers {
		list[i] = instance(name, server(name))
	}
	w.registry.list(list...)
}
