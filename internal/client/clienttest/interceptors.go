package clienttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/oslorpc/oslorpc/internal/client"
	"github.com/oslorpc/oslorpc/internal/refusal"
	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// interceptors tests which messages interceptors see, and what interceptors can do to them.
var interceptors = map[string]func(*testing.T, *world){
	"each sees each message once": func(t *testing.T, w *world) {
		w.serve("1.2", "a", "b")
		seen := w.record()
		for name, d := range everyDelivery() {
			*seen = record{}
			if err := d.send(t.Context(), w); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			settle(w)
			seen.check(t, name, d)
		}
	},
	"each sees why a message failed": func(t *testing.T, w *world) {
		w.serve("1.2", "a")
		w.servers["a"].refuses(&rpc.Error{Kind: rpc.AccessDenied, Message: "not today"})
		seen := w.record()
		for name, d := range everyDelivery() {
			*seen = record{}
			err := d.send(t.Context(), w)
			if d.copies {
				continue // its errors are in its report
			}
			wantError(t, err, rpc.AccessDenied, true, "not today")
			for i, got := range append(seen.sends, seen.attempts...) {
				if i > 0 && d.delivery == rpc.DeliveryStream {
					continue // the attempt ended before the server answered
				}
				if rpc.KindOf(got.err) != rpc.AccessDenied {
					t.Errorf("%s: an interceptor saw %v", name, got.err)
				}
			}
		}
	},
	"they add metadata": func(t *testing.T, w *world) {
		w.serve("1.2", "a", "b")
		w.servers["a"].refuses(refusal.New(refusal.Full))
		w.interceptors = []rpc.Interceptor{
			{
				Send: func(ctx context.Context, m *rpc.Message, next rpc.Next) error {
					if m.Metadata.Get("color") != "red" {
						t.Errorf("the program's metadata is %v", m.Metadata)
					}
					m.Metadata.Set("sent", "yes")
					return next(ctx)
				},
				Attempt: func(ctx context.Context, m *rpc.Message, next rpc.Next) error {
					m.Metadata.Add("attempt", m.Server)
					return next(ctx)
				},
			},
		}
		ctx := context.WithValue(t.Context(), metadataKey{}, rpc.Metadata{"color": {"red"}})
		for range 2 { // one of them meets a first
			must(t, w.agents().Call(ctx, "name", nil, nil))
			must(t, w.inventory().Invoke(ctx, create("v", &v1.CreateVolumeResponse{})))
			must(t, watch(ctx, w.inventory()))
		}
		settle(w)
		for _, method := range []string{"name", "CreateVolume", "WatchVolumes"} {
			for name, s := range w.servers {
				got := s.told(method)
				if got == nil && name == "a" {
					continue
				}
				if got.Get("color") != "red" || got.Get("sent") != "yes" || !slices.Equal(got["attempt"], []string{name}) {
					t.Errorf("%s got the metadata %v with %s", name, got, method)
				}
			}
		}
	},
	"a message that is stopped is not sent": func(t *testing.T, w *world) {
		w.serve("1.2", "a")
		stop := errors.New("over quota")
		w.interceptors = []rpc.Interceptor{{Send: func(context.Context, *rpc.Message, rpc.Next) error { return stop }}}
		for name, d := range everyDelivery() {
			err := d.send(t.Context(), w)
			wantError(t, err, rpc.AccessDenied, true, "over quota")
			if !errors.Is(err, stop) {
				t.Errorf("%s: the interceptor's error is lost: %v", name, err)
			}
		}
		settle(w)
		wantRuns(t, w.servers["a"])
	},
	"an attempt that is stopped ends the message": func(t *testing.T, w *world) {
		w.serve("1.2", "a", "b")
		attempts := 0
		w.interceptors = []rpc.Interceptor{{Attempt: func(context.Context, *rpc.Message, rpc.Next) error {
			attempts++
			return &rpc.Error{Kind: rpc.NoSuchMethod, Message: "it is too dear"}
		}}}
		for name, d := range everyDelivery() {
			if attempts = 0; d.copies {
				continue
			}
			wantError(t, d.send(t.Context(), w), rpc.NoSuchMethod, true, "too dear")
			if attempts != 1 {
				t.Errorf("%s: %d attempts", name, attempts)
			}
		}
		settle(w)
		wantRuns(t, w.servers["a"])
	},
	"an attempt that is refused goes elsewhere": func(t *testing.T, w *world) {
		w.serve("1.2", "a", "b")
		w.interceptors = []rpc.Interceptor{{Attempt: func(ctx context.Context, m *rpc.Message, next rpc.Next) error {
			if m.Server == "a" {
				return &rpc.Error{Kind: rpc.Refused, Message: "a has enough to do"}
			}
			return next(ctx)
		}}}
		for range 4 {
			must(t, w.agents().Call(t.Context(), "name", nil, nil))
			must(t, w.inventory().Invoke(t.Context(), create("v", &v1.CreateVolumeResponse{})))
		}
		wantRuns(t, w.servers["a"])
	},
	"what may have run is never sent again": func(t *testing.T, w *world) {
		w.serve("1.2", "a", "b")
		for what, interceptor := range map[string]rpc.Interceptor{
			"an untrue refusal": {Attempt: func(ctx context.Context, _ *rpc.Message, next rpc.Next) error {
				_ = next(ctx)
				return refusal.New(refusal.Full)
			}},
			"an untrue error of the whole": {Send: func(ctx context.Context, _ *rpc.Message, next rpc.Next) error {
				_ = next(ctx)
				return &rpc.Error{Kind: rpc.NoInstance, NotStarted: true, Message: "nobody"}
			}},
			"an error of another family": {Send: func(ctx context.Context, _ *rpc.Message, next rpc.Next) error {
				_ = next(ctx)
				return errors.New("the result is odd")
			}},
			"a second attempt": {Send: func(ctx context.Context, _ *rpc.Message, next rpc.Next) error {
				_ = next(ctx)
				return next(ctx)
			}},
		} {
			before := len(w.servers["a"].runs()) + len(w.servers["b"].runs())
			w.interceptors, w.shared = []rpc.Interceptor{interceptor}, nil
			err := w.agents().Call(t.Context(), "name", nil, nil)
			if err == nil || rpc.SafeToRetry(err) || rpc.IsNotDelivered(err) {
				t.Errorf("%s: %v", what, err)
			}
			if n := len(w.servers["a"].runs()) + len(w.servers["b"].runs()) - before; n != 1 {
				t.Errorf("%s: it ran %d times", what, n)
			}
		}
	},
	"an attempt that is neither made nor refused is an error": func(t *testing.T, w *world) {
		w.serve("1.2", "a")
		w.interceptors = []rpc.Interceptor{{Attempt: func(context.Context, *rpc.Message, rpc.Next) error { return nil }}}
		for name, d := range everyDelivery() {
			if d.copies {
				continue
			}
			if err := d.send(t.Context(), w); rpc.KindOf(err) != rpc.Invalid || !rpc.SafeToRetry(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
	},
	"their order and their contexts": func(t *testing.T, w *world) {
		w.serve("1.2", "a")
		type key struct{}
		var calls []string
		w.interceptors = []rpc.Interceptor{
			{Send: func(ctx context.Context, _ *rpc.Message, next rpc.Next) error {
				calls = append(calls, "outer")
				return next(context.WithValue(ctx, key{}, "outer"))
			}},
			{
				Send: func(ctx context.Context, _ *rpc.Message, next rpc.Next) error {
					calls = append(calls, "inner after "+ctx.Value(key{}).(string))
					return next(context.WithValue(ctx, key{}, "inner"))
				},
				Attempt: func(ctx context.Context, _ *rpc.Message, next rpc.Next) error {
					calls = append(calls, "attempt after "+ctx.Value(key{}).(string))
					return next(ctx)
				},
			},
		}
		for name, d := range everyDelivery() {
			calls = nil
			must(t, d.send(t.Context(), w))
			if want := []string{"outer", "inner after outer", "attempt after inner"}; !slices.Equal(calls, want) {
				t.Errorf("%s: %v, want %v", name, calls, want)
			}
		}
	},
	"a stream outlasts the contexts of an attempt": func(t *testing.T, w *world) {
		w.serve("1.2", "a")
		w.interceptors = []rpc.Interceptor{{Attempt: func(ctx context.Context, _ *rpc.Message, next rpc.Next) error {
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			return next(ctx)
		}}}
		must(t, watch(t.Context(), w.inventory()))
		must(t, sendAll(t.Context(), w.inventory(), 3))
		must(t, sends()["multicall"](t.Context(), w))
	},
	"they decide how a stream ends": func(t *testing.T, w *world) {
		w.serve("1.2", "a")
		var came []error
		w.interceptors = []rpc.Interceptor{{Send: func(ctx context.Context, _ *rpc.Message, next rpc.Next) error {
			err := next(ctx)
			came = append(came, err)
			return fmt.Errorf("accounting failed after: %v", err) //nolint:errorlint // It is another error.
		}}}
		wantError(t, watch(t.Context(), w.inventory()), rpc.OutcomeUnknown, false, "accounting failed")
		wantError(t, sendAll(t.Context(), w.inventory(), 2), rpc.OutcomeUnknown, false, "accounting failed")
		ctx, cancel := context.WithCancel(t.Context())
		s := w.syncing(t, ctx, w.inventory())
		must(t, s.Send(&v1.SyncVolumesRequest{Name: "x"}))
		cancel() // nothing is received any more
		settle(w)
		if len(came) != 3 || came[0] != nil || came[1] != nil || rpc.KindOf(came[2]) != rpc.Canceled {
			t.Errorf("the streams ended with %v", came)
		}
		if err := s.Send(&v1.SyncVolumesRequest{}); !errors.Is(err, io.EOF) {
			t.Errorf("sending fails with %v", err)
		}
	},
}

// intercepted is one delivery, with what interceptors must see of it.
type intercepted struct {
	send     func(context.Context, *world) error
	delivery rpc.Delivery
	method   string
	service  bool // it is typed
	// copies is true if the message goes to all servers.
	copies, monitored bool
	// arguments is true if interceptors see arguments.
	arguments bool
}

func everyDelivery() map[string]intercepted {
	all := sends()
	return map[string]intercepted{
		"call":           {send: all["call"], delivery: rpc.DeliveryCall, method: "name", arguments: true},
		"monitored call": {send: all["monitored call"], delivery: rpc.DeliveryCall, method: "name", monitored: true, arguments: true},
		"cast":           {send: all["cast"], delivery: rpc.DeliveryCast, method: "name", arguments: true},
		"multicall":      {send: all["multicall"], delivery: rpc.DeliveryMulticall, method: "items", arguments: true},
		"fanout": {delivery: rpc.DeliveryFanout, method: "name", copies: true, arguments: true, send: func(ctx context.Context, w *world) error {
			_, err := w.agents().Fanout(ctx, "name", nil)
			return err
		}},
		"gather": {delivery: rpc.DeliveryGather, method: "name", copies: true, arguments: true, send: func(ctx context.Context, w *world) error {
			return w.agents().Gather(ctx, "name", nil, client.Gathering{Each: func(*client.Answer) bool { return true }})
		}},
		"typed call":          {send: all["typed call"], delivery: rpc.DeliveryCall, method: "CreateVolume", service: true, arguments: true},
		"typed cast":          {send: all["typed cast"], delivery: rpc.DeliveryCast, method: "ReportUsage", service: true, arguments: true},
		"typed server stream": {send: all["typed server stream"], delivery: rpc.DeliveryMulticall, method: "WatchVolumes", service: true, arguments: true},
		"typed client stream": {delivery: rpc.DeliveryStream, method: "ImportVolumes", service: true, send: func(ctx context.Context, w *world) error {
			return sendAll(ctx, w.inventory(), 2)
		}},
		"typed fanout": {delivery: rpc.DeliveryFanout, method: "InvalidateCache", service: true, copies: true, arguments: true,
			send: func(ctx context.Context, w *world) error {
				return w.inventory().Invoke(ctx, &client.TypedCall{
					Path: v1.InventoryService_InvalidateCache_FullMethodName, Message: &v1.InvalidateCacheRequest{}, Result: &emptypb.Empty{},
				})
			}},
	}
}

// record is what the interceptors saw.
type record struct {
	mu              sync.Mutex
	sends, attempts []sight
}

// sight is what an interceptor saw of one message.
type sight struct {
	before, after rpc.Message
	err           error
}

// record adds interceptors that record what they see.
func (w *world) record() *record {
	r := &record{}
	see := func(list *[]sight) func(context.Context, *rpc.Message, rpc.Next) error {
		return func(ctx context.Context, m *rpc.Message, next rpc.Next) error {
			s := sight{before: *m}
			s.err = next(ctx)
			s.after = *m
			r.mu.Lock()
			defer r.mu.Unlock()
			*list = append(*list, s)
			return s.err
		}
	}
	w.interceptors = []rpc.Interceptor{{Send: see(&r.sends), Attempt: see(&r.attempts)}}
	return r
}

func (r *record) check(t *testing.T, name string, d intercepted) {
	t.Helper()
	attempts := 1
	if d.copies {
		attempts = 2
	}
	if len(r.sends) != 1 || len(r.attempts) != attempts {
		t.Fatalf("%s: it was seen %d times, and its attempts %d times", name, len(r.sends), len(r.attempts))
	}
	sent := r.sends[0].before
	for _, s := range append(r.sends, r.attempts...) {
		m := s.before
		if s.err != nil {
			t.Errorf("%s: an interceptor saw %v", name, s.err)
		}
		if m.Method != d.method || m.Delivery != d.delivery || m.Monitored != d.monitored || (m.Service != "") != d.service || m.Caller != "tester" {
			t.Errorf("%s: it was seen as %+v", name, m)
		}
		if m.Target.Exchange != exchange || m.Target.Topic == "" || m.ID != sent.ID || m.Target.Version != sent.Target.Version {
			t.Errorf("%s: it was seen as %+v, and before as %+v", name, m, sent)
		}
		if (m.Arguments != nil) != d.arguments {
			t.Errorf("%s: the arguments are %v", name, m.Arguments)
		}
		if _, ok := m.Arguments.(proto.Message); d.arguments && ok != d.service {
			t.Errorf("%s: the arguments are a %T", name, m.Arguments)
		}
	}
	if sent.Attempt != 0 || sent.Server != "" {
		t.Errorf("%s: before it is sent, it is %+v", name, sent)
	}
	for _, s := range r.attempts {
		m := s.after
		if m.Attempt != 1 || m.Addr != "addr-"+m.Server || m.InstanceID == "" || m.Peer.Addr == "" || s.before.Peer.Addr != "" {
			t.Errorf("%s: an attempt is %+v, and was %+v", name, m, s.before)
		}
	}
}
