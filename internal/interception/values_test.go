package interception

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/anycarrier"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// A message that waits in a held server keeps the context with which it was accepted. When the
// server is released, the method gets the values of this context, whatever happened to the sender.
// (The other tests check this for messages that do not wait.)
func TestValuesOfHeldMessages(t *testing.T) { anycarrier.Each(t, testValuesOfHeldMessages) }

func testValuesOfHeldMessages(t *testing.T) {
	t.Helper()
	f := newFleet(t, []string{"node1"}, oslorpc.WithHold())
	for _, r := range rows() {
		if r.accepted {
			ctx, leave := context.WithTimeout(t.Context(), patience)
			if o := r.send(ctx, f.client.Prepare(oslorpc.WithServer("node1"))); o.err != nil {
				t.Fatalf("%s: %v", r.name, o.err)
			}
			leave()
		}
	}
	calling, called := f.client.Prepare(oslorpc.WithServer("node1")), make(chan outcome, 1)
	go func() { called <- call(t.Context(), calling) }()
	const messages = 5
	f.journal.await(t, accept, messages)
	if n := len(f.journal.take(run)); n > 0 {
		t.Errorf("%d messages ran at a held server", n)
	}
	if err := f.servers["node1"].Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.journal.await(t, run, messages)
	if o := <-called; o.err != nil {
		t.Error(o.err)
	}
	for _, at := range []point{run, method} {
		list := f.journal.take(at)
		if len(list) != messages {
			t.Errorf("%d messages at %s", len(list), at)
		}
		for _, e := range list {
			if e.user != clientName || provedBy(e.message.Peer.TLS) != clientName || e.message.Metadata.Get("sent-by") != "ann" {
				t.Errorf("%s: user %q, message %+v", at, e.user, e.message)
			}
		}
	}
}

// The context of a call has the deadline of its sender. The context of a cast has none.
func TestDeadlinesInInterceptors(t *testing.T) { anycarrier.Each(t, testDeadlinesInInterceptors) }

func testDeadlinesInInterceptors(t *testing.T) {
	t.Helper()
	f := newFleet(t, []string{"node1"})
	bounded := make(chan bool, 10)
	f.servers["node2"] = f.serve(t, "node2", []oslorpc.TransportOption{oslorpc.WithInterceptors(oslorpc.Interceptor{
		Run: func(ctx context.Context, _ *rpc.Message, next rpc.Next) error {
			_, has := ctx.Deadline()
			bounded <- has
			return next(ctx)
		},
	})})
	to := f.client.Prepare(oslorpc.WithServer("node2"))
	for _, r := range rows() {
		if r.toAll || r.sent == rpc.DeliveryMulticall || r.sent == rpc.DeliveryStream {
			continue // a message to all goes to other servers too, and no timeout bounds a whole stream
		}
		if o := r.send(t.Context(), to); o.err != nil {
			t.Fatalf("%s: %v", r.name, o.err)
		}
		if has := <-bounded; has == r.accepted {
			t.Errorf("%s: has a deadline: %v", r.name, has)
		}
	}
}

// A full server refuses a message after its interceptors accepted it. The client and each server
// see every attempt, and the message has one Send.
func TestAttemptsAfterAFullServer(t *testing.T) { anycarrier.Each(t, testAttemptsAfterAFullServer) }

func testAttemptsAfterAFullServer(t *testing.T) {
	t.Helper()
	f := newFleet(t, []string{"node1", "node2"}, oslorpc.WithWorkers(1), oslorpc.WithQueue(1, 1<<20))
	filling, empty := context.WithCancel(t.Context())
	filled := make(chan error, 2)
	for range 2 {
		go func() { filled <- f.client.Prepare(oslorpc.WithServer("node1")).Cast(filling, "block", nil) }()
	}
	for range 2 {
		if err := <-filled; err != nil {
			t.Fatal(err)
		}
	}
	defer empty()
	for range 10 {
		f.journal.reset()
		if o := call(t.Context(), f.client); o.err != nil {
			t.Fatal(o.err)
		}
		attempts := f.journal.take(attempt)
		if len(attempts) == 1 {
			continue // it went to node2 at once
		}
		first, second := attempts[0], attempts[1]
		if len(attempts) != 2 || first.message.Attempt != 1 || first.message.Server != "node1" || !errors.Is(first.err, rpc.Refused) ||
			second.message.Attempt != 2 || second.message.Server != "node2" || second.err != nil {
			t.Errorf("got %v", attempts)
		}
		if accepted := f.journal.take(accept); len(accepted) != 2 || accepted[0].message.ID != accepted[1].message.ID || len(f.journal.take(send)) != 1 {
			t.Errorf("got %v", accepted)
		}
		if ran := f.journal.take(run); len(ran) != 1 || ran[0].process != "node2" {
			t.Errorf("got %v", ran)
		}
		f.stop(t)
		return
	}
	t.Error("no message was offered to the full server first")
}

// stop stops the servers by force, since some of their methods block.
func (f *fleet) stop(t *testing.T) {
	t.Helper()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, s := range f.servers {
		_ = s.Stop(over) // it returns an error, since the stop is forced
	}
}

// A client interceptor may call next on another goroutine, or twice. The message is sent at most
// once, and the error says correctly whether it was.
func TestNextOnAnotherGoroutine(t *testing.T) { anycarrier.Each(t, testNextOnAnotherGoroutine) }

func testNextOnAnotherGoroutine(t *testing.T) {
	t.Helper()
	f := newFleet(t, []string{"node1"})
	refused := errors.New("no")
	for name, misuse := range map[string]func(next func() error) error{
		"after it returned": func(next func() error) error {
			time.AfterFunc(10*time.Millisecond, func() { _ = next() })
			return refused
		},
		"while it returns": func(next func() error) error {
			go func() { _ = next() }()
			return refused
		},
		"twice": func(next func() error) error {
			_ = next()
			return next()
		},
	} {
		for _, at := range []point{send, attempt} {
			f.journal.reset()
			returned := make(chan struct{}, 2)
			around := func(ctx context.Context, _ *rpc.Message, next rpc.Next) error {
				return misuse(func() error {
					defer func() { returned <- struct{}{} }()
					return next(context.WithoutCancel(ctx))
				})
			}
			i := oslorpc.Interceptor{Send: around}
			if at == attempt {
				i = oslorpc.Interceptor{Attempt: around}
			}
			transport := f.open(t, clientName, oslorpc.WithInterceptors(i))
			_, err := oslorpc.Call[string](t.Context(), transport.Client(oslorpc.Target{Topic: topic}), "whoami", nil)
			<-returned
			if ran := len(f.journal.take(method)); err == nil || ran > 1 || rpc.SafeToRetry(err) != (ran == 0) {
				t.Errorf("%s, %s: it ran %d times, and the error is %v", name, at, ran, err)
			}
		}
	}
}
