package carriertest

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/phase"
	"github.com/oslorpc/oslorpc/internal/service"
	"github.com/oslorpc/oslorpc/internal/typed"
	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// These describe the process under test and its only server.
const (
	address  = "node1"
	bootID   = "b1"
	exchange = "openstack"
	topic    = "inventory"
	name     = "net1"
	instance = bootID + "." + name
)

// These are what a method can be told to do after it has sent its items.
const (
	answer   = "answer"
	wait     = "wait"    // until the server is told to go on, or the context of the method ends
	giveUp   = "give up" // wait, and then look as if all were done
	fail     = "fail"
	large    = "large"   // answer with what is too large
	endless  = "endless" // send items until that fails
	largeAt  = 3 << 20
	deadline = time.Minute
)

// errBroken is the error of a method that is told to fail.
var errBroken = errors.New("it is broken")

// server is a process with one server, whose methods do what the messages tell them.
type server struct {
	*intake.Intake

	dispatcher *dispatch.Dispatcher
	phase      *phase.Machine
	goOn       chan struct{} // closed when methods that wait are to go on

	started atomic.Int64 // methods that began
	emitted atomic.Int64 // items that were sent
	took    atomic.Int64 // messages of streams that were received
	missed  atomic.Int64 // how long ago the server missed a message, in nanoseconds

	// accept decides whether a message is accepted. It may be nil.
	accept func(context.Context, *rpc.Message) (context.Context, error)

	mu    sync.Mutex
	seen  []*rpc.Message // what interceptors saw before acceptance
	dicts []any          // the request contexts that methods saw
	ended []error        // how the contexts of methods that waited had ended, nil if they had not
}

// options change a server.
type options struct {
	limits  dispatch.Limits
	maxSize int
}

func newServer(t *testing.T, o options) *server {
	t.Helper()
	s := &server{phase: phase.Opened(), goOn: make(chan struct{})}
	log := slog.New(slog.DiscardHandler)
	table := dispatch.NewTable(s.endpoints())
	s.dispatcher = dispatch.New(dispatch.Config{Name: name, Table: table, Limits: o.limits, Phase: s.phase, Log: log})
	s.Intake = intake.New(intake.Config{
		BootID: bootID, Exchange: exchange, MaxSize: o.maxSize, Log: log, Interceptors: []rpc.Interceptor{{Accept: s.see}},
	})
	rules, err := typed.FindService(v1.InventoryService_ServiceDesc.ServiceName)
	if err != nil {
		t.Fatal(err)
	}
	s.SetServers([]*intake.Server{{
		Dispatch: s.dispatcher,
		Instance: rpc.Instance{
			ID: instance, BootID: bootID, Exchange: exchange, Topic: topic, Server: name, Addr: address,
			State: rpc.StateActive, Implemented: table.Implemented(),
		},
		Services: map[string]*intake.Service{rules.Name: service.NewTyped(rules, &v1.InventoryService_ServiceDesc, inventory{server: s})},
		Missed:   func(ago time.Duration) { s.missed.Store(int64(ago)) },
	}})
	t.Cleanup(func() {
		_ = s.dispatcher.Stop(t.Context()) // by force, which is an error
	})
	return s
}

func (s *server) endpoints() []dispatch.Endpoint {
	methods := map[string]*dispatch.Method{"act": {Streaming: true, Bind: s.bind}}
	inventory := dispatch.Endpoint{
		Namespaces: []string{"volumes"}, Version: rpc.Version{Major: 1, Minor: 2},
		Service: v1.InventoryService_ServiceDesc.ServiceName, Methods: map[string]*dispatch.Method{},
	}
	for _, m := range v1.InventoryService_ServiceDesc.Methods {
		inventory.Methods[m.MethodName] = &dispatch.Method{}
	}
	for _, m := range v1.InventoryService_ServiceDesc.Streams {
		inventory.Methods[m.StreamName] = &dispatch.Method{}
	}
	return []dispatch.Endpoint{{Namespaces: []string{""}, Version: rpc.DefaultVersion, Methods: methods}, inventory}
}

// see is the interceptor of the process. It records each message.
func (s *server) see(ctx context.Context, m *rpc.Message) (context.Context, error) {
	s.mu.Lock()
	s.seen = append(s.seen, m)
	s.mu.Unlock()
	if s.accept == nil {
		return ctx, nil
	}
	return s.accept(ctx, m)
}

// bind makes the invocation of the dynamic method.
func (s *server) bind(kwargs string) (dispatch.Invocation, error) {
	var args struct {
		What  string
		Items int
	}
	if err := json.Unmarshal([]byte(kwargs), &args); err != nil {
		return nil, &rpc.Error{Kind: rpc.BadArguments, Message: err.Error(), NotStarted: true}
	}
	return func(ctx context.Context, emit dispatch.Emit) error {
		return s.act(ctx, args.What, args.Items, func(item string) error { return emit(strconv.Quote(item)) })
	}, nil
}

// act does what a message says: it sends the items, does what it is told, and sends an answer if
// there were no items.
func (s *server) act(ctx context.Context, what string, items int, emit func(string) error) error {
	s.begin(ctx)
	for i := range items {
		if err := emit(strconv.Itoa(i)); err != nil {
			return err
		}
		s.emitted.Add(1)
	}
	if err := s.do(ctx, what); err != nil {
		return &dispatch.MethodError{Err: err}
	}
	switch what {
	case large:
		return emit(strings.Repeat("x", largeAt))
	case endless:
		for {
			if err := emit(strings.Repeat("x", 1000)); err != nil {
				return err
			}
			s.emitted.Add(1)
		}
	}
	if items == 0 {
		return emit("done")
	}
	return nil
}

// begin records that a method began.
func (s *server) begin(ctx context.Context) {
	s.started.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dicts = append(s.dicts, dictOf(ctx))
}

// do does what the method is told.
func (s *server) do(ctx context.Context, what string) error {
	switch what {
	case wait, giveUp:
		var err error
		select {
		case <-s.goOn:
		case <-ctx.Done():
			err = ctx.Err()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended = append(s.ended, err)
		if what == giveUp {
			return nil
		}
		return err
	case fail:
		return errBroken
	default:
		return nil
	}
}

// lastEnd returns how many methods have waited so far, and how the context of the last one had
// ended.
func (s *server) lastEnd() (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n = len(s.ended); n > 0 {
		err = s.ended[n-1]
	}
	return n, err
}

// lastSeen returns the message that the interceptor saw last.
func (s *server) lastSeen() *rpc.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[len(s.seen)-1]
}

var _ v1.InventoryServiceServer = inventory{}
