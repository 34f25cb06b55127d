package interception

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/anycarrier"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// refusals are errors of interceptors, each with the kind that the sender gets.
func refusals() map[string]struct {
	err  error
	kind rpc.Kind
} {
	type refusal = struct {
		err  error
		kind rpc.Kind
	}
	all := map[string]refusal{
		"an error that is not an rpc.Error": {errors.New("no"), rpc.AccessDenied},
		"a kind of the client":              {&rpc.Error{Kind: rpc.OutcomeUnknown, Message: "no"}, rpc.AccessDenied},
		"a wrapped error":                   {fmt.Errorf("no: %w", &rpc.Error{Kind: rpc.TooLarge}), rpc.TooLarge},
	}
	all["a timeout at the server"] = refusal{&rpc.Error{Kind: rpc.Timeout, Message: "no"}, rpc.Refused}
	for _, k := range []rpc.Kind{rpc.AccessDenied, rpc.Refused, rpc.InvalidTarget, rpc.BadArguments, rpc.TooLarge} {
		all[k.Name()] = refusal{&rpc.Error{Kind: k, Message: "no"}, k}
	}
	return all
}

// A message that a server refuses, before acceptance or when a worker is free, does not run. The
// sender learns the kind, the reason, and that the message is safe to send again.
func TestServersRefuse(t *testing.T) { anycarrier.Each(t, testServersRefuse) }

func testServersRefuse(t *testing.T) {
	t.Helper()
	f := newFleet(t, []string{"node1", "node2"})
	once := f.client.Prepare(oslorpc.WithRetry(0))
	for name, refusal := range refusals() {
		for _, at := range []point{accept, run} {
			for _, r := range rows() {
				if at == run && r.accepted {
					continue // the sender does not learn this
				}
				t.Run(fmt.Sprintf("%s/%s/%s", r.name, at, name), func(t *testing.T) {
					f.journal.reset()
					f.setRefuse(func(where point, process string, _ *rpc.Message) error {
						if where == at && (process == "node1" || !r.toAll) {
							return refusal.err
						}
						return nil
					})
					f.checkRefused(t, &r, r.send(t.Context(), once), refusal.kind)
					f.checkAttempts(t, &r, refusal.kind)
				})
			}
		}
	}
}

// checkAttempts checks how often a refused message was sent. If the kind is Refused, a message for
// any server was also sent to the other server, and a copy for one server was sent to the same
// server again. Other kinds are about the message itself, so there is one attempt. A client stream
// goes to one server only.
func (f *fleet) checkAttempts(t *testing.T, r *row, kind rpc.Kind) {
	t.Helper()
	list := f.journal.take(attempt)
	switch n := len(list); {
	case r.toAll && kind == rpc.Refused:
		if last := list[n-1].message; n < 3 || last.Attempt != n-1 && list[n-2].message.Attempt != n-1 {
			t.Errorf("%d attempts: %v", n, list)
		}
	case r.toAll:
		if n != 2 {
			t.Errorf("%d attempts, want 2", n)
		}
	case kind == rpc.Refused && r.sent != rpc.DeliveryStream:
		if n != 2 || list[0].message.Attempt != 1 || list[1].message.Attempt != 2 || list[0].message.Server == list[1].message.Server {
			t.Errorf("%d attempts: %v", n, list)
		}
	default:
		if n != 1 {
			t.Errorf("%d attempts, want 1", n)
		}
	}
}

// checkRefused fails if a message ran where it was refused. A message for every server is refused
// at node1, and any other message everywhere.
func (f *fleet) checkRefused(t *testing.T, r *row, o outcome, kind rpc.Kind) {
	t.Helper()
	if !r.toAll {
		checkError(t, o.err, kind)
		if n := len(f.journal.take(method)); n > 0 {
			t.Errorf("it ran %d times", n)
		}
		return
	}
	if o.err != nil || len(o.servers) != 2 || o.servers["node2"] != nil {
		t.Errorf("got %v, %v", o.servers, o.err)
	}
	checkError(t, o.servers["node1"], kind)
	if ran := f.journal.await(t, method, 1); len(ran) != 1 || ran[0].process != "node2" {
		t.Errorf("got %v", ran)
	}
}

func checkError(t *testing.T, err error, kind rpc.Kind) {
	t.Helper()
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok || e.Kind != kind || !e.NotStarted || !rpc.SafeToRetry(err) || !strings.Contains(e.Error(), "no") || e.Server == "" {
		t.Errorf("got %#v, want %s, not started", err, kind)
	}
}

// A cast that an interceptor refuses when a worker is free does not run. Its sender already learned
// that it was accepted.
func TestCastsRefusedAtTheirRun(t *testing.T) { anycarrier.Each(t, testCastsRefusedAtTheirRun) }

func testCastsRefusedAtTheirRun(t *testing.T) {
	t.Helper()
	f := newFleet(t, []string{"node1", "node2"})
	f.setRefuse(func(at point, _ string, _ *rpc.Message) error {
		if at == run {
			return errors.New("no")
		}
		return nil
	})
	for _, r := range rows() {
		if !r.accepted {
			continue
		}
		f.journal.reset()
		if o := r.send(t.Context(), f.client); o.err != nil {
			t.Errorf("%s: %v", r.name, o.err)
		}
		if ran := f.journal.await(t, run, 1); ran[0].err == nil || len(f.journal.take(method)) > 0 {
			t.Errorf("%s: it ran", r.name)
		}
	}
}

// A message that a client interceptor refuses is not sent.
func TestClientsRefuse(t *testing.T) { anycarrier.Each(t, testClientsRefuse) }

func testClientsRefuse(t *testing.T) {
	t.Helper()
	f := newFleet(t, []string{"node1", "node2"})
	once := f.client.Prepare(oslorpc.WithRetry(0))
	for _, kind := range []rpc.Kind{rpc.AccessDenied, rpc.Refused, rpc.BadArguments, rpc.Invalid} {
		for _, at := range []point{send, attempt} {
			for _, r := range rows() {
				t.Run(fmt.Sprintf("%s/%s/%s", r.name, at, kind.Name()), func(t *testing.T) {
					f.journal.reset()
					f.setRefuse(func(where point, _ string, m *rpc.Message) error {
						if where == at && (at == send || m.Server == "node1" || !r.toAll) {
							return &rpc.Error{Kind: kind, Message: "no", Server: "s"}
						}
						return nil
					})
					o := r.send(t.Context(), once)
					if at == attempt {
						f.checkRefused(t, &r, o, kind)
					} else if checkError(t, o.err, kind); len(f.journal.take(attempt)) > 0 {
						t.Error("there was an attempt")
					}
					for _, e := range f.journal.take(accept) {
						if e.process == "node1" || !r.toAll {
							t.Errorf("it reached %s", e.process)
						}
					}
				})
			}
		}
	}
}

// If an interceptor returns neither an error nor a context, or does not call next, the message does
// not run, and the sender gets an error.
func TestInterceptorsThatForgetNext(t *testing.T) { anycarrier.Each(t, testInterceptorsThatForgetNext) }

func testInterceptorsThatForgetNext(t *testing.T) {
	t.Helper()
	for _, at := range []point{send, attempt, accept, run} {
		t.Run(string(at), func(t *testing.T) {
			f := newFleet(t, []string{"node1"})
			f.setRefuse(func(where point, _ string, _ *rpc.Message) error {
				if where == at {
					return errForget
				}
				return nil
			})
			for _, r := range rows() {
				f.journal.reset()
				o := r.send(t.Context(), f.client.Prepare(oslorpc.WithRetry(0)))
				err := o.err
				if err == nil {
					err = o.servers["node1"]
				}
				if hears := at != run || !r.accepted; hears != (err != nil) || hears && !rpc.SafeToRetry(err) {
					t.Errorf("%s: got %v", r.name, err)
				}
				if at == run {
					f.journal.await(t, run, 1)
				}
				if n := len(f.journal.take(method)); n > 0 {
					t.Errorf("%s: it ran", r.name)
				}
			}
		})
	}
}
