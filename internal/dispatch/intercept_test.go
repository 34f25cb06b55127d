package dispatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/oslorpc/oslorpc/internal/msgcontext"
	"github.com/oslorpc/oslorpc/internal/phase"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// around returns an interceptor that has only Run.
func around(run runFunc) rpc.Interceptor { return rpc.Interceptor{Run: run} }

// newIntercepted returns a server with interceptors around its methods.
func newIntercepted(t *testing.T, methods map[string]*Method, log io.Writer, interceptors ...rpc.Interceptor) *Dispatcher {
	t.Helper()
	table := NewTable([]Endpoint{{Namespaces: []string{""}, Version: rpc.DefaultVersion, Methods: methods}})
	s := New(Config{
		Name: "net1", Table: table, Limits: DefaultLimits, Phase: phase.Opened(), Log: newLog(log), Interceptors: interceptors,
	})
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

type noteKey struct{}

// TestInterceptorsRunAroundEveryDelivery checks that they run once, in order, on the method's
// goroutine, also for held messages.
func TestInterceptorsRunAroundEveryDelivery(t *testing.T) {
	t.Parallel()
	for _, delivery := range []rpc.Delivery{rpc.DeliveryCall, rpc.DeliveryCast, rpc.DeliveryMulticall} {
		for _, held := range []bool{false, true} {
			t.Run(fmt.Sprint(delivery, held), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var trace []string
					note := func(name string) rpc.Interceptor {
						return around(func(ctx context.Context, m *rpc.Message, next rpc.Next) error {
							trace = append(trace, fmt.Sprintf("%s %s %s", name, m.Method, m.Delivery))
							if MessageFrom(ctx) != m || msgcontext.Dict(ctx)["user"] != "bob" {
								t.Error("its context lacks the message, or the request context")
							}
							err := next(context.WithValue(ctx, noteKey{}, name))
							trace = append(trace, name+" ends")
							return err
						})
					}
					many := plain(func(ctx context.Context, emit Emit) error {
						trace = append(trace, fmt.Sprint("method in ", ctx.Value(noteKey{}), " as ", MessageFrom(ctx).ID))
						return errors.Join(emit("1"), emit("2"))
					})
					s := newIntercepted(t, map[string]*Method{"foo": many}, io.Discard, note("outer"), rpc.Interceptor{}, note("inner"))
					if held {
						s.config.Phase.Stall()
					}
					r := request("foo", "id")
					r.Delivery, r.Context = delivery, `{"user":"bob"}`
					over := make(chan error, 1)
					if delivery == rpc.DeliveryCast {
						over <- s.Cast(t.Context(), r)
					} else {
						go func() { over <- s.Call(t.Context(), r, drop) }()
					}
					synctest.Wait()
					if held && len(trace) > 0 {
						t.Errorf("before the release: %v", trace)
					}
					s.Release()
					if err := <-over; err != nil {
						t.Error(err)
					}
					synctest.Wait()
					on := " foo " + string(delivery)
					same(t, "what ran", trace, []string{"outer" + on, "inner" + on, "method in inner as id", "inner ends", "outer ends"})
				})
			})
		}
	}
}

var errOwn = errors.New("the method's own")

// TestErrorsOfInterceptors checks that the sender gets the truth about the method, whatever an
// interceptor returns.
func TestErrorsOfInterceptors(t *testing.T) {
	t.Parallel()
	before := func(err error) runFunc {
		return func(context.Context, *rpc.Message, rpc.Next) error { return err }
	}
	after := func(change func(error) error) runFunc {
		return func(ctx context.Context, _ *rpc.Message, next rpc.Next) error { return change(next(ctx)) }
	}
	to := func(err error) func(error) error { return func(error) error { return err } }
	denied := &rpc.Error{Kind: rpc.AccessDenied, Message: "not you", NotStarted: true}
	for name, test := range map[string]struct {
		run        runFunc
		method     string
		kind       rpc.Kind
		notStarted bool
		says       string
		runs       bool
	}{
		"denies before":            {before(denied), "fine", rpc.AccessDenied, true, "not you", false},
		"declines before":          {before(&rpc.Error{Kind: rpc.Refused, Message: "too many"}), "fine", rpc.Refused, true, "too many", false},
		"any error before":         {before(io.EOF), "fine", rpc.AccessDenied, true, "EOF", false},
		"another kind before":      {before(&rpc.Error{Kind: rpc.Remote}), "fine", rpc.AccessDenied, true, "", false},
		"nothing before":           {before(nil), "fine", rpc.AccessDenied, true, "neither ran the method", false},
		"denies after":             {after(to(denied)), "fine", rpc.AccessDenied, false, "not you", true},
		"denies after a failure":   {after(to(denied)), "fails", rpc.AccessDenied, false, "not you", true},
		"fails after":              {after(to(io.EOF)), "fine", rpc.Remote, false, "EOF", true},
		"another kind after":       {after(to(&rpc.Error{Kind: rpc.Refused, NotStarted: true})), "fine", rpc.Remote, false, "", true},
		"passes on":                {after(func(err error) error { return err }), "fails", rpc.Remote, false, errOwn.Error(), true},
		"wraps":                    {after(func(err error) error { return fmt.Errorf("so: %w", err) }), "fails", rpc.Remote, false, "so: " + errOwn.Error(), true},
		"passes on a nested error": {after(func(err error) error { return err }), "nested", rpc.Remote, false, "nested", true},
		"passes on bad arguments":  {after(func(err error) error { return err }), "unbound", rpc.BadArguments, true, "no such argument", false},
		"hides bad arguments":      {after(to(nil)), "unbound", rpc.BadArguments, true, "no such argument", false},
		"replaces bad arguments":   {after(to(io.EOF)), "unbound", rpc.AccessDenied, true, "EOF", false},
		"wraps bad arguments":      {after(func(err error) error { return fmt.Errorf("so: %w", err) }), "unbound", rpc.BadArguments, true, "", false},
		"hides a bad result":       {after(to(nil)), "unsendable", rpc.BadResult, false, "", true},
		"hides a failure":          {after(to(nil)), "fails", rpc.Unknown, false, "", true},
		"fine":                     {after(func(err error) error { return err }), "fine", rpc.Unknown, false, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ran := false
			method := func(err error) *Method {
				return plain(func(context.Context, Emit) error {
					ran = true
					return err
				})
			}
			s := newIntercepted(t, map[string]*Method{
				"fine":       method(nil),
				"fails":      method(&MethodError{Err: errOwn}),
				"nested":     method(&MethodError{Err: &rpc.Error{Kind: rpc.AccessDenied, Message: "nested", NotStarted: true}}),
				"unsendable": method(&rpc.Error{Kind: rpc.BadResult}),
				"unbound":    {Bind: func(string) (Invocation, error) { return nil, errors.New("no such argument") }},
			}, io.Discard, around(test.run))
			_, err := call(t.Context(), s, request(test.method, "id"))
			if test.kind == rpc.Unknown && err == nil {
				return
			}
			check(t, err, test.kind, test.notStarted, test.says)
			if ran != test.runs {
				t.Errorf("the method ran: %v", ran)
			}
			if test.kind == rpc.Refused && !errors.Is(err, refusal.Declined) {
				t.Errorf("the reason of %v", err)
			}
			// A message that did not run may be sent again.
			_, again := call(t.Context(), s, request(test.method, "id"))
			if repeated := rpc.KindOf(again) == rpc.OutcomeUnknown; repeated == test.notStarted {
				t.Errorf("sent again: %v", again)
			}
		})
	}
}

// TestErrorsBetweenInterceptors checks that an interceptor sees the refusal of an inner interceptor
// in the same way as the sender.
func TestErrorsBetweenInterceptors(t *testing.T) {
	t.Parallel()
	seen := make(chan error, 1)
	s := newIntercepted(t, map[string]*Method{"foo": returns("1")}, io.Discard,
		around(func(ctx context.Context, _ *rpc.Message, next rpc.Next) error {
			err := next(ctx)
			seen <- err
			return err
		}),
		around(func(context.Context, *rpc.Message, rpc.Next) error { return io.EOF }))
	_, err := call(t.Context(), s, request("foo", ""))
	check(t, err, rpc.AccessDenied, true, "EOF")
	check(t, <-seen, rpc.AccessDenied, true, "EOF")
	if started, failed := counts(s, "foo"); started != 0 || failed != 0 {
		t.Errorf("%d are counted as started, %d as failed", started, failed)
	}
}

func TestPanicsOfInterceptors(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]runFunc{
		"before": func(context.Context, *rpc.Message, rpc.Next) error { panic("boom") },
		"after":  func(ctx context.Context, _ *rpc.Message, next rpc.Next) error { _ = next(ctx); panic("boom") },
		"within": func(ctx context.Context, m *rpc.Message, next rpc.Next) error {
			m.Method = "panics" // so that the method does
			return next(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			s := newIntercepted(t, map[string]*Method{"foo": plain(func(ctx context.Context, _ Emit) error {
				if MessageFrom(ctx).Method == "panics" {
					panic("boom")
				}
				return nil
			})}, &log, around(run))
			_, err := call(t.Context(), s, request("foo", ""))
			r := remote(t, err)
			if r.Type != "panic" || r.Message != "boom" || !strings.Contains(strings.Join(r.Stack, "\n"), "intercept_test.go") {
				t.Errorf("got %+v", r)
			}
			if !strings.Contains(log.String(), "method panicked") {
				t.Errorf("the log is %q", log.String())
			}
		})
	}
}

// TestRecoveryByAnInterceptor checks that an interceptor can recover from a panic of the method.
func TestRecoveryByAnInterceptor(t *testing.T) {
	t.Parallel()
	s := newIntercepted(t, map[string]*Method{"foo": plain(func(context.Context, Emit) error { panic("boom") })}, io.Discard,
		around(func(ctx context.Context, _ *rpc.Message, next rpc.Next) (err error) {
			defer func() { err = fmt.Errorf("recovered from %v", recover()) }()
			return next(ctx)
		}))
	_, err := call(t.Context(), s, request("foo", ""))
	if r := remote(t, err); r.Message != "recovered from boom" || len(r.Stack) != 0 {
		t.Errorf("got %+v", r)
	}
}

func TestInterceptorThatEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	s := newIntercepted(t, map[string]*Method{"foo": returns("1")}, io.Discard,
		around(func(context.Context, *rpc.Message, rpc.Next) error {
			runtime.Goexit()
			return nil
		}))
	_, err := call(t.Context(), s, request("foo", ""))
	if rpc.KindOf(err) != rpc.AccessDenied || !rpc.SafeToRetry(err) {
		t.Errorf("before the method ran: got %v", err)
	}
	s = newIntercepted(t, map[string]*Method{"foo": returns("1")}, io.Discard,
		around(func(ctx context.Context, _ *rpc.Message, next rpc.Next) error {
			_ = next(ctx)
			runtime.Goexit()
			return nil
		}))
	_, err = call(t.Context(), s, request("foo", ""))
	if r := remote(t, err); r.Type != exitedType {
		t.Errorf("after the method ran: got %+v", r)
	}
}

// TestNextRunsOnce checks that a method runs at most once, and not after its message has ended.
func TestNextRunsOnce(t *testing.T) {
	t.Parallel()
	var kept rpc.Next
	runs := 0
	s := newIntercepted(t, map[string]*Method{"foo": plain(func(context.Context, Emit) error {
		runs++
		return nil
	})}, io.Discard, around(func(ctx context.Context, _ *rpc.Message, next rpc.Next) error {
		kept = next
		return errors.Join(next(ctx), next(ctx))
	}))
	_, err := call(t.Context(), s, request("foo", ""))
	if r := remote(t, err); !strings.Contains(r.Message, "called next twice") {
		t.Errorf("got %+v", r)
	}
	if err := kept(t.Context()); rpc.KindOf(err) != rpc.Invalid || runs != 1 {
		t.Errorf("after the end: %v, and it ran %d times", err, runs)
	}
}

// TestMethodThatOutlivesItsInterceptor checks that the message ends with the method, and not
// before.
func TestMethodThatOutlivesItsInterceptor(t *testing.T) {
	t.Parallel()
	g, gaveUp := newGate(), make(chan struct{})
	s := newIntercepted(t, map[string]*Method{"foo": g.method()}, io.Discard,
		around(func(ctx context.Context, _ *rpc.Message, next rpc.Next) error {
			go func() { _ = next(ctx) }()
			<-g.entered
			close(gaveUp)
			return errors.New("I wait no longer")
		}))
	ended := started(t.Context(), s, request("foo", ""))
	<-gaveUp
	if len(ended) != 0 || s.Load().Running != 1 {
		t.Error("it ended before its method")
	}
	close(g.open)
	if r := remote(t, <-ended); r.Message != "I wait no longer" {
		t.Errorf("got %+v", r)
	}
}

// TestInterceptorsCostNothingWithoutAny checks that a message gets no description unless something
// asks for it.
func TestInterceptorsCostNothingWithoutAny(t *testing.T) {
	s := newServer(t, DefaultLimits, map[string]*Method{"foo": returns("1")})
	r := request("foo", "")
	if _, err := call(t.Context(), s, r); err != nil || r.described != nil {
		t.Errorf("%v, and it was described: %v", err, r.described)
	}
}
