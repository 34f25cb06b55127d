package intake

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/msgcontext"
	"github.com/oslorpc/oslorpc/internal/phase"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/typed"
	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

const inventory = "typedtest.v1.InventoryService"

// delivery is a way in which a message may arrive.
type delivery struct {
	method    string
	as        rpc.Delivery
	service   string
	arguments any
	send      func(ctx context.Context, in *Intake, m *Message) error
}

func deliveries() map[string]delivery {
	call := func(ctx context.Context, in *Intake, m *Message) error {
		_, err := in.Call(ctx, m)
		return err
	}
	unary := func(ctx context.Context, in *Intake, m *Message) error {
		_, err := in.CallTyped(ctx, m, func(request any) error {
			proto.Merge(request.(proto.Message), named(m.Method))
			return nil
		})
		return err
	}
	stream := func(ctx context.Context, in *Intake, m *Message) error { return in.Stream(ctx, m, noStream{}) }
	return map[string]delivery{
		"call": {"foo", rpc.DeliveryCall, "", `{"a":1}`, call},
		"monitored call": {"foo", rpc.DeliveryCall, "", `{"a":1}`, func(ctx context.Context, in *Intake, m *Message) error {
			m.Monitored = true
			return call(ctx, in, m)
		}},
		"cast": {"foo", rpc.DeliveryCast, "", `{"a":1}`, func(ctx context.Context, in *Intake, m *Message) error { return in.Cast(ctx, m) }},
		"multicall": {"foo", rpc.DeliveryMulticall, "", `{"a":1}`, func(ctx context.Context, in *Intake, m *Message) error {
			return in.Multicall(ctx, m, func(string) error { return nil })
		}},
		"typed call":           {"CreateVolume", rpc.DeliveryCall, inventory, named("CreateVolume"), unary},
		"typed cast":           {"ReportUsage", rpc.DeliveryCast, inventory, named("ReportUsage"), unary},
		"copy of typed fanout": {"InvalidateCache", rpc.DeliveryCast, inventory, named("InvalidateCache"), unary},
		"typed multicall":      {"WatchVolumes", rpc.DeliveryMulticall, inventory, nil, stream},
		"typed stream":         {"ImportVolumes", rpc.DeliveryStream, inventory, nil, stream},
	}
}

// named returns the request of a unary method.
func named(method string) proto.Message {
	switch method {
	case "CreateVolume":
		return &v1.CreateVolumeRequest{Name: "v"}
	case "ReportUsage":
		return &v1.ReportUsageRequest{Name: "v"}
	default:
		return &v1.InvalidateCacheRequest{Name: "v"}
	}
}

// noStream is a stream without messages.
type noStream struct{ Stream }

func (noStream) Send(any) error    { return nil }
func (noStream) Receive(any) error { return io.EOF }

// nowhere is the origin of the messages in these tests.
type nowhere struct{}

func (nowhere) Metadata() rpc.Metadata { return rpc.Metadata{"token": {"t"}} }
func (nowhere) Peer() rpc.Peer         { return rpc.Peer{Addr: "10.0.0.7:1"} }

// message returns a message of this delivery.
func (d delivery) message() *Message {
	m := to(rpc.Target{Topic: "q", Server: "net1"}, "")
	m.Method, m.Typed.Service, m.ID, m.OrderKey, m.Caller = d.method, d.service, "id", "key", "test"
	m.Origin = nowhere{}
	if d.service == "" {
		m.Content = &content{}
	} else {
		m.Context = `{"user":"bob"}`
	}
	return m
}

// content is the content of a dynamic message.
type content struct {
	read int
	err  error
}

func (c *content) ReadContent() (kwargs, context string, err error) {
	c.read++
	return `{"a":1}`, `{"user":"bob"}`, c.err
}

// described returns the message as interceptors and methods must see it.
func (d delivery) described(monitored bool) rpc.Message {
	m := rpc.Message{
		Target: rpc.Target{Exchange: rpc.DefaultExchange, Topic: "q", Server: "net1", Version: "1.0"},
		Method: d.method, Delivery: d.as, Service: d.service, ID: "id", OrderKey: "key", Server: "net1", InstanceID: "b1.net1",
		Caller: "test", Peer: nowhere{}.Peer(), Metadata: nowhere{}.Metadata(), Arguments: d.arguments, Monitored: monitored,
	}
	if d.service != "" {
		m.Target.Namespace = "volumes"
	}
	return m
}

// sighting is a message at one place where it was seen.
type sighting struct {
	at      string
	message rpc.Message
	value   any
	user    any
}

// seen records where messages were seen.
type seen struct {
	mu  sync.Mutex
	all []sighting
}

func (s *seen) note(at string, ctx context.Context, m *rpc.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, sighting{at, *m, ctx.Value(valueKey{}), msgcontext.Dict(ctx)["user"]})
}

type valueKey struct{}

// world is a process with one server, whose methods record that they ran.
type world struct {
	seen
	*Intake

	server *dispatch.Dispatcher
	phase  *phase.Machine
	told   int // how often the server heard that it missed a message
}

func newWorld(t *testing.T, interceptors ...rpc.Interceptor) *world {
	t.Helper()
	w := &world{phase: phase.Opened()}
	run := func(ctx context.Context) error {
		w.note("method", ctx, dispatch.MessageFrom(ctx))
		return ctx.Err()
	}
	foo := &dispatch.Method{Bind: func(string) (dispatch.Invocation, error) {
		return func(ctx context.Context, emit dispatch.Emit) error { return errors.Join(run(ctx), emit("1")) }, nil
	}}
	table := dispatch.NewTable([]dispatch.Endpoint{
		{Namespaces: []string{""}, Version: rpc.DefaultVersion, Methods: methods{"foo": foo}},
		{Namespaces: []string{"volumes"}, Version: rpc.Version{Major: 1, Minor: 2}, Service: inventory, Methods: methods{
			"CreateVolume": {}, "ReportUsage": {}, "InvalidateCache": {}, "WatchVolumes": {Streaming: true}, "ImportVolumes": {},
		}},
	})
	w.server = dispatch.New(dispatch.Config{
		Name: "net1", Table: table, Limits: dispatch.DefaultLimits, Phase: w.phase, Log: slog.New(slog.DiscardHandler),
		Interceptors: interceptors,
	})
	t.Cleanup(func() {
		if err := w.server.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	w.Intake = newIntake(interceptors, &Server{
		Dispatch: w.server, Services: map[string]*Service{inventory: service(t, run)}, Missed: func(time.Duration) { w.told++ },
		Instance: rpc.Instance{
			ID: "b1.net1", BootID: "b1", Exchange: rpc.DefaultExchange, Topic: "q", Server: "net1", Implemented: table.Implemented(),
		},
	})
	return w
}

// service returns a typed service whose methods all do the same.
func service(t *testing.T, run func(context.Context) error) *Service {
	t.Helper()
	rules, err := typed.FindService(inventory)
	if err != nil {
		t.Fatal(err)
	}
	s := &Service{Rules: rules, Unary: map[string]UnaryMethod{}, Streams: map[string]StreamMethod{}}
	for _, name := range []string{"CreateVolume", "ReportUsage", "InvalidateCache"} {
		s.Unary[name] = func(decode func(any) error) (any, UnaryRun, error) {
			request := named(name)
			proto.Reset(request)
			return request, func(ctx context.Context, _ any) (any, error) { return &emptypb.Empty{}, run(ctx) }, decode(request)
		}
	}
	for _, name := range []string{"WatchVolumes", "ImportVolumes"} {
		s.Streams[name] = func(ctx context.Context, _ Stream) error { return run(ctx) }
	}
	return s
}

// noting returns an interceptor that records what it sees, and adds to the context.
func noting(s **world) rpc.Interceptor {
	return rpc.Interceptor{
		Accept: func(ctx context.Context, m *rpc.Message) (context.Context, error) {
			(*s).note("accept", ctx, m)
			return context.WithValue(ctx, valueKey{}, "accepted"), nil
		},
		Run: func(ctx context.Context, m *rpc.Message, next rpc.Next) error {
			(*s).note("run", ctx, m)
			return next(context.WithValue(ctx, valueKey{}, "run"))
		},
	}
}

// TestInterceptorsSeeEveryDelivery checks that interceptors see a message once at each point, with
// the same identity and metadata. Values that they add to the context reach the method, even for a
// cast whose sender has left and for a held message.
func TestInterceptorsSeeEveryDelivery(t *testing.T) {
	t.Parallel()
	for name, d := range deliveries() {
		for _, held := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var w *world
					w = newWorld(t, noting(&w))
					if held {
						w.phase.Stall()
					}
					ctx, leave := context.WithTimeout(t.Context(), time.Hour)
					over := make(chan error, 1)
					go func() { over <- d.send(ctx, w.Intake, d.message()) }()
					synctest.Wait()
					if held {
						if len(w.all) != 1 {
							t.Errorf("before the release: %+v", w.all)
						}
					}
					if d.as == rpc.DeliveryCast {
						leave()
					}
					w.server.Release()
					if err := <-over; err != nil {
						t.Error(err)
					}
					synctest.Wait()
					leave()
					want := d.described(name == "monitored call")
					for i, at := range []sighting{{"accept", want, nil, "bob"}, {"run", want, "accepted", "bob"}, {"method", want, "run", "bob"}} {
						if i >= len(w.all) {
							t.Fatalf("it was seen only %d times", i)
						}
						if !same(w.all[i], at) {
							t.Errorf("got %+v, want %+v", w.all[i], at)
						}
					}
					if len(w.all) != 3 {
						t.Errorf("it was seen %d times", len(w.all))
					}
				})
			})
		}
	}
}

func same(a, b sighting) bool {
	one, ok := a.message.Arguments.(proto.Message)
	if two, also := b.message.Arguments.(proto.Message); ok && also && proto.Equal(one, two) {
		a.message.Arguments, b.message.Arguments = nil, nil
	}
	return reflect.DeepEqual(a, b)
}

// TestRefusalsOfInterceptors checks that a refused message does not run, and that its sender knows
// this. A cast that was accepted no longer has a sender.
func TestRefusalsOfInterceptors(t *testing.T) {
	t.Parallel()
	denied := &rpc.Error{Kind: rpc.AccessDenied, Message: "not you"}
	declined := &rpc.Error{Kind: rpc.Refused, Message: "too many"}
	for name, d := range deliveries() {
		for point, interceptor := range map[string]func(error) rpc.Interceptor{
			"accept": func(err error) rpc.Interceptor {
				return rpc.Interceptor{Accept: func(context.Context, *rpc.Message) (context.Context, error) { return nil, err }}
			},
			"run": func(err error) rpc.Interceptor {
				return rpc.Interceptor{Run: func(context.Context, *rpc.Message, rpc.Next) error { return err }}
			},
		} {
			for _, want := range []*rpc.Error{denied, declined} {
				t.Run(name+" "+point+" "+want.Kind.Name(), func(t *testing.T) {
					t.Parallel()
					var w *world
					w = newWorld(t, rpc.Interceptor{}, interceptor(want), noting(&w))
					m := d.message()
					m.Missed = new(time.Second)
					err := d.send(t.Context(), w.Intake, m)
					if err := w.server.Stop(t.Context()); err != nil { // it waits for casts
						t.Error(err)
					}
					accepted := point == "run"
					if accepted != (w.told == 1) || accepted != (len(w.all) == 1) {
						t.Errorf("the server was told %d times that it missed something, and it was seen as %+v", w.told, w.all)
					}
					if list, _ := w.server.Requests(); (len(list) == 1) != accepted {
						t.Errorf("counted are %v", list)
					}
					if accepted && d.as == rpc.DeliveryCast {
						if err != nil {
							t.Error(err)
						}
						return
					}
					e := check(t, err, want.Kind, true, want.Message)
					if e.Server != "net1" || e.InstanceID != "b1.net1" || e.Method != d.method {
						t.Errorf("signed %+v", e)
					}
					if want == declined && !errors.Is(err, refusal.Declined) {
						t.Errorf("the reason of %v", err)
					}
				})
			}
		}
	}
}

// TestRefusedMessageMayComeAgain checks that a message that an interceptor refused does not count
// as a repeat when it is sent again.
func TestRefusedMessageMayComeAgain(t *testing.T) {
	t.Parallel()
	for name, d := range deliveries() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refuses := true
			w := newWorld(t, rpc.Interceptor{Accept: func(ctx context.Context, _ *rpc.Message) (context.Context, error) {
				if refuses {
					return nil, errors.New("not now")
				}
				return ctx, nil
			}})
			check(t, d.send(t.Context(), w.Intake, d.message()), rpc.AccessDenied, true, "not now")
			refuses = false
			if err := d.send(t.Context(), w.Intake, d.message()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAcceptThatFails checks that an Accept that fails lets no message through.
func TestAcceptThatFails(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	late, end := context.WithTimeout(t.Context(), 0)
	defer end()
	for name, test := range map[string]struct {
		ctx    context.Context
		accept acceptFunc
		kind   rpc.Kind
		says   string
	}{
		"panics": {t.Context(), func(context.Context, *rpc.Message) (context.Context, error) { panic("secret") }, rpc.AccessDenied, "panicked"},
		"ends its goroutine": {t.Context(), func(context.Context, *rpc.Message) (context.Context, error) {
			runtime.Goexit()
			return nil, nil
		}, rpc.AccessDenied, "ended its goroutine"},
		"nothing": {t.Context(), func(context.Context, *rpc.Message) (context.Context, error) { return nil, nil }, rpc.AccessDenied, "neither"},
		"a nil pointer": {t.Context(), func(context.Context, *rpc.Message) (context.Context, error) {
			var e *rpc.RemoteError
			return nil, e
		}, rpc.AccessDenied, "cannot be read"},
		"another kind": {t.Context(), func(context.Context, *rpc.Message) (context.Context, error) {
			return nil, &rpc.Error{Kind: rpc.OutcomeUnknown, Message: "of the policy server"}
		}, rpc.AccessDenied, "policy server"},
		"the sender's deadline": {late, func(ctx context.Context, _ *rpc.Message) (context.Context, error) { return nil, ctx.Err() }, rpc.Timeout, "interceptor"},
		"the sender left":       {ended, func(ctx context.Context, _ *rpc.Message) (context.Context, error) { return nil, ctx.Err() }, rpc.Canceled, "interceptor"},
		"another deadline": {t.Context(), func(context.Context, *rpc.Message) (context.Context, error) {
			return nil, context.DeadlineExceeded
		}, rpc.AccessDenied, "deadline"},
	} {
		for way, d := range deliveries() {
			t.Run(name+" "+way, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, rpc.Interceptor{Accept: test.accept})
				err := d.send(test.ctx, w.Intake, d.message())
				check(t, err, test.kind, true, test.says)
				if strings.Contains(err.Error(), "secret") || len(w.all) > 0 {
					t.Errorf("%v, and it ran %d times", err, len(w.all))
				}
			})
		}
	}
}

// TestInterceptorsReplaceTheRequestContext checks that the method gets the request context of the
// last interceptor.
func TestInterceptorsReplaceTheRequestContext(t *testing.T) {
	t.Parallel()
	for name, d := range deliveries() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, rpc.Interceptor{Accept: func(ctx context.Context, _ *rpc.Message) (context.Context, error) {
				return msgcontext.With(ctx, map[string]any{"user": "alice"}), nil
			}})
			if err := d.send(t.Context(), w.Intake, d.message()); err != nil {
				t.Error(err)
			}
			if err := w.server.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			if len(w.all) != 1 || w.all[0].user != "alice" {
				t.Errorf("got %+v", w.all)
			}
		})
	}
}

// TestInspectionPassesInterceptors checks that interceptors see introspection requests before they
// are answered.
func TestInspectionPassesInterceptors(t *testing.T) {
	t.Parallel()
	var w *world
	w = newWorld(t, noting(&w))
	if err := w.Ping(t.Context(), &Inspection{Method: "Ping", InstanceID: "b1.net1", Origin: nowhere{}}); err != nil {
		t.Error(err)
	}
	want := rpc.Message{
		Method: "Ping", InstanceID: "b1.net1", Delivery: rpc.DeliveryInspect, Peer: nowhere{}.Peer(), Metadata: nowhere{}.Metadata(),
	}
	if len(w.all) != 1 || !reflect.DeepEqual(w.all[0].message, want) {
		t.Errorf("got %+v", w.all)
	}
	w = newWorld(t, rpc.Interceptor{Accept: func(context.Context, *rpc.Message) (context.Context, error) { return nil, errors.New("no") }})
	check(t, w.Ping(t.Context(), &Inspection{Method: "Ping", InstanceID: "b1.net1", Origin: nowhere{}}), rpc.AccessDenied, true, "no")
	_, err := w.Inspect(t.Context(), &Inspection{Method: "GetInfo", Origin: nowhere{}})
	check(t, err, rpc.AccessDenied, true, "no")
}
