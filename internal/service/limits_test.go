package service

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// sized returns a JSON object of n bytes.
func sized(n int) string { return `{"a":"` + strings.Repeat("x", n-8) + `"}` }

func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	f := serve(t, newServer(t, "q", "net1", methods{"foo": text("1")}))
	for _, test := range []struct {
		name            string
		context, kwargs *pb.Payload
		ok              bool
	}{
		{"kwargs", nil, asJSON(sized(maxSize)), true},
		{"one more", nil, asJSON(sized(maxSize + 1)), false},
		{"context", asJSON(sized(maxSize)), nil, true},
		{"context, one more", asJSON(sized(maxSize + 1)), nil, false},
		{"together", asJSON(sized(maxSize / 2)), asJSON(sized(maxSize / 2)), true},
		{"together, one more", asJSON(sized(maxSize / 2)), asJSON(sized(maxSize/2 + 1)), false},
		{"as values", asValue(t, sized(maxSize/2)), asValue(t, sized(maxSize/2+1)), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "foo", Context: test.context, Kwargs: test.kwargs}}
			for form, err := range f.attempt(t, m) {
				t.Run(form, func(t *testing.T) {
					if !test.ok {
						check(t, err, rpc.TooLarge, true, "has 1001 bytes, and this server accepts at most 1000", "send less")
					} else if err != nil {
						t.Error(err)
					}
				})
			}
		})
	}
}

// gRPC itself refuses requests that are much larger, without our detail, so the outcome is unknown.
func TestRequestBeyondTheTransportsLimit(t *testing.T) {
	t.Parallel()
	f := serve(t, newServer(t, "q", "net1", methods{"foo": text("1")}))
	_, err := f.Call(t.Context(), &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "foo", Kwargs: asJSON(sized(10 * maxSize))}})
	if e := rpcstatus.Decode(err, true); e.Kind != rpc.TooLarge || e.NotStarted {
		t.Errorf("got %+v", e)
	}
}

func TestResultsAreBounded(t *testing.T) {
	t.Parallel()
	digits := "[" + strings.TrimSuffix(strings.Repeat("1,", maxSize/4), ",") + "]" // 11 bytes each as values
	f := serve(t, newServer(t, "q", "net1", methods{
		"fits": text(sized(maxSize)), "larger": text(sized(maxSize + 1)), "digits": text(digits),
	}))
	for _, test := range []struct {
		method  string
		kwargs  *pb.Payload
		message string // empty if it fits
	}{
		{"fits", asJSON("{}"), ""},
		{"larger", asJSON("{}"), "its result has 1001 bytes, and this server sends at most 1000"},
		{"larger", nil, "its result has 1001 bytes, and this server"},
		{"digits", asJSON("{}"), ""},
		{"digits", nil, "bytes as a protobuf value, and this server sends at most 1000"},
	} {
		m := &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: test.method, Kwargs: test.kwargs}}
		for form, err := range f.attempt(t, m) {
			t.Run(form, func(t *testing.T) {
				switch {
				case test.message == "" || strings.Contains(t.Name(), "/cast"): // which has no result to send
					if err != nil {
						t.Error(err)
					}
				default:
					check(t, err, rpc.TooLarge, false, "the method ran", test.message)
				}
			})
		}
	}
}

func TestItemsBeforeOneThatIsTooLargeArrive(t *testing.T) {
	t.Parallel()
	f := serve(t, newServer(t, "q", "net1", methods{"foo": items("1", "2", sized(maxSize+1), "4")}))
	all, err := f.multicall(t.Context(), &pb.MulticallRequest{Message: &pb.Message{Target: to("q"), Method: "foo", Kwargs: asJSON("{}")}})
	check(t, err, rpc.TooLarge, false)
	if len(all) != 2 {
		t.Errorf("%d items arrived", len(all))
	}
}

func TestFullAndStoppingServersSaySo(t *testing.T) {
	t.Parallel()
	g := newGate()
	full := newServerOf(t, "q", "net1", dispatch.Limits{Workers: 1}, dispatch.Endpoint{
		Namespaces: []string{""}, Version: rpc.DefaultVersion, Methods: methods{"foo": g.method()},
	})
	f := serve(t, full)
	if _, err := f.Cast(t.Context(), &pb.CastRequest{Message: &pb.Message{Target: to("q"), Method: "foo"}}); err != nil {
		t.Fatal(err)
	}
	<-g.entered
	refused := func(why refusal.Reason) {
		for form, err := range f.attempt(t, &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "foo", Id: "a"}}) {
			t.Run(form, func(t *testing.T) {
				e := check(t, err, rpc.Refused, true, why.Error())
				if !errors.Is(e, why) || e.Server != "net1" || e.InstanceID != "b1.net1" {
					t.Errorf("got %+v", e)
				}
			})
		}
	}
	refused(refusal.Full)
	close(g.open)
	if err := full.Dispatch.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	refused(refusal.Stopping)
}

func TestCallerWhoLeavesEndsTheMethod(t *testing.T) {
	t.Parallel()
	g := newGate()
	s := newServer(t, "q", "net1", methods{"foo": g.method()})
	f := serve(t, s)
	for form, send := range map[string]func(context.Context) error{
		"call": func(ctx context.Context) error {
			_, err := f.Call(ctx, &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "foo"}})
			return err
		},
		"multicall": func(ctx context.Context) error {
			_, err := f.multicall(ctx, &pb.MulticallRequest{Message: &pb.Message{Target: to("q"), Method: "foo"}})
			return err
		},
		"monitored call": func(ctx context.Context) error {
			_, _, err := f.monitored(ctx, &pb.MonitoredCallRequest{Message: &pb.Message{Target: to("q"), Method: "foo"}})
			return err
		},
	} {
		t.Run(form, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-g.entered
				cancel()
			}()
			if e := rpcstatus.Decode(send(ctx), true); e.Kind != rpc.Canceled {
				t.Errorf("got %v", e)
			}
		})
	}
	if err := s.Dispatch.Stop(t.Context()); err != nil { // waits for the methods
		t.Error(err)
	}
}

// A multicall that the caller stops reading is not a failure of its method.
func TestCallerWhoStopsReadingEndsTheStream(t *testing.T) {
	t.Parallel()
	endless := &dispatch.Method{Bind: func(string) (dispatch.Invocation, error) {
		return func(_ context.Context, emit dispatch.Emit) error {
			for {
				if err := emit(sized(maxSize)); err != nil {
					return err
				}
			}
		}, nil
	}}
	s := newServer(t, "q", "net1", methods{"foo": endless})
	f := serve(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := f.Multicall(ctx, &pb.MulticallRequest{Message: &pb.Message{Target: to("q"), Method: "foo", Kwargs: asJSON("{}")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := s.Dispatch.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	info, err := f.GetInfo(t.Context(), &pb.GetInfoRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if m := info.GetServers()[0].GetEndpoints()[0].GetMethods()[0]; m.GetStarted() != 1 || m.GetFailed() != 0 {
		t.Errorf("%d are counted as started, %d as failed", m.GetStarted(), m.GetFailed())
	}
}
