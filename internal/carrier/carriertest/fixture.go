package carriertest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/msgcontext"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// fixture is what a test uses: a process that serves, and a link to the process. Time is faked.
type fixture struct {
	*testing.T

	Harness
	server  *server
	carrier carrier.Carrier
	link    carrier.Link
}

func newFixture(t *testing.T, open func(*testing.T) Harness) *fixture {
	t.Helper()
	f := &fixture{T: t, Harness: open(t)}
	f.serve(options{}, 0)
	f.use(Config{Caller: "tester"})
	return f
}

// serve replaces the process that serves with a new one.
func (f *fixture) serve(o options, capacity int) {
	f.Helper()
	if o.limits == (dispatch.Limits{}) {
		o.limits = dispatch.DefaultLimits
	}
	if o.maxSize == 0 {
		o.maxSize = 16 << 20
	}
	f.server = newServer(f.T, o)
	f.Serve(address, Process{Intake: f.server.Intake, Capacity: capacity})
}

// use makes a carrier, and a link from the carrier to the process.
func (f *fixture) use(c Config) {
	f.carrier = f.Carrier(c)
	f.Cleanup(f.carrier.Close)
	f.link = f.carrier.Get(carrier.Key{Addr: address, BootID: bootID})
}

// connect connects the link.
func (f *fixture) connect() {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), deadline)
	defer cancel()
	if err := f.link.Connect(ctx); err != nil {
		f.Fatal("Connect: ", err)
	}
	synctest.Wait() // a carrier may begin something then
}

// grace returns how long a method goes on after the connection breaks, if the carrier can then ask
// for the outcome of m. Otherwise, grace returns 0.
func (f *fixture) grace(m *form) time.Duration {
	if r, ok := f.Harness.(Resumer); ok && !m.hasItems() && !m.clientStreams() {
		return r.Grace()
	}
	return 0
}

// attempt is a message that was sent and has perhaps not been answered yet.
type attempt struct {
	f       *fixture
	started int64 // methods that had started before
	items   []string
	err     error
	done    chan struct{}
}

// send sends a message and returns its result. It connects first if necessary.
func (f *fixture) send(ctx context.Context, m *form, r *carrier.Request) ([]string, error) {
	f.Helper()
	a := f.begin(ctx, m, r)
	return a.end()
}

// begin sends a message. When begin returns, the message is on its way or already answered.
func (f *fixture) begin(ctx context.Context, m *form, r *carrier.Request) *attempt {
	f.Helper()
	a := &attempt{f: f, started: f.server.started.Load(), done: make(chan struct{})}
	if err := f.link.Enter(ctx, time.Second); err != nil {
		f.Fatal("Enter: ", err)
	}
	go func() {
		defer close(a.done)
		defer f.link.Release()
		ctx, cancel := withDeadline(ctx)
		defer cancel()
		a.items, a.err = m.finish(ctx, f.link, r)
	}()
	synctest.Wait()
	return a
}

// withDeadline returns ctx with a deadline, so that no test waits for ever.
func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, deadline)
}

// end waits for the end of a message and returns the result. An error must not say that nothing ran
// if a method did run.
func (a *attempt) end() ([]string, error) {
	a.f.Helper()
	<-a.done
	synctest.Wait() // methods that may still start have started
	if rpc.SafeToRetry(a.err) && a.f.server.started.Load() != a.started {
		a.f.Errorf("the method ran, and the error says that it did not: %v", a.err)
	}
	return a.items, a.err
}

// want checks the kind and the text of an error.
func (f *fixture) want(err error, kind rpc.Kind, notStarted bool, texts ...string) {
	f.Helper()
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok {
		f.Errorf("got %v, want an error of kind %v", err, kind)
		return
	}
	if e.Kind != kind || e.NotStarted != notStarted {
		f.Errorf("got %v, not started: %v; want kind %v, not started: %v", e, e.NotStarted, kind, notStarted)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			f.Errorf("%q does not say %q", err, text)
		}
	}
}

// wantItems checks that there was no error, and that the right items were received.
func (f *fixture) wantItems(got []string, err error, want ...string) {
	f.Helper()
	if err != nil || !slices.Equal(got, want) {
		f.Errorf("got %q, %v; want %q", got, err, want)
	}
}

// wantStarted checks how many methods have started.
func (f *fixture) wantStarted(want int64) {
	f.Helper()
	synctest.Wait()
	if got := f.server.started.Load(); got != want {
		f.Errorf("%d methods started, not %d", got, want)
	}
}

// wantOutstanding checks how many outstanding messages the link counts.
func (f *fixture) wantOutstanding(want int64) {
	f.Helper()
	synctest.Wait()
	if got := f.link.Outstanding(); got != want {
		f.Errorf("%d messages are outstanding, not %d", got, want)
	}
}

// dictOf returns the request context that a method sees.
func dictOf(ctx context.Context) any { return msgcontext.Dict(ctx) }
