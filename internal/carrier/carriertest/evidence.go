package carriertest

import (
	"context"
	"errors"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"

	"github.com/oslorpc/oslorpc/internal/dispatch"
)

// testBrokenBeforeAcceptance breaks the connection after the server has received a message and
// before it accepts the message. The server may still run the method.
func testBrokenBeforeAcceptance(f *fixture, m *form) {
	for name, breaks := range f.breaks() {
		f.serve(options{}, 0)
		f.use(Config{})
		f.connect()
		goOn := make(chan struct{})
		f.server.accept = func(ctx context.Context, _ *rpc.Message) (context.Context, error) {
			<-goOn
			return ctx, nil
		}
		a := f.begin(f.Context(), m, m.request(answer, 0))
		breaks()
		if f.grace(m) > 0 && name == reset {
			close(goOn)
			items, err := a.end()
			f.wantAnswer(m, items, err)
			continue
		}
		_, err := a.end()
		f.want(err, rpc.OutcomeUnknown, false)
		close(goOn)
		synctest.Wait()
		if f.Failed() {
			f.Fatal(name)
		}
	}
}

// breaks returns the ways in which a connection can break.
func (f *fixture) breaks() map[string]func() {
	return map[string]func(){
		"killed": func() {
			f.Kill(address)
			f.link.Unlist(true) // as discovery finds out
		},
		reset: func() { f.Reset(address) },
	}
}

// reset is the name of the break after which the client can reach the process again.
const reset = "reset"

// testBrokenOnTheWay breaks the connection while a message is on its way to the server. Then it
// sends another message.
func testBrokenOnTheWay(f *fixture, m *form) {
	f.connect()
	f.Lose(address)
	a := f.begin(f.Context(), m, m.request(answer, 0))
	f.Reset(address)
	if _, err := a.end(); err == nil {
		f.Error("the message was lost, and there is no error")
	}
	f.connect()
	items, err := f.send(f.Context(), m, m.request(answer, 0))
	f.wantAnswer(m, items, err)
}

// testBrokenWhileItRuns breaks the connection while the method runs.
func testBrokenWhileItRuns(f *fixture, m *form) {
	for name, breaks := range f.breaks() {
		f.serve(options{}, 0)
		f.use(Config{})
		f.connect()
		a := f.begin(f.Context(), m, m.request(wait, 0))
		f.wantStarted(1)
		breaks()
		if f.grace(m) > 0 && name == reset {
			close(f.server.goOn)
			items, err := a.end()
			f.wantAnswer(m, items, err)
			continue
		}
		_, err := a.end()
		f.want(err, rpc.OutcomeUnknown, false)
		time.Sleep(f.grace(m))
		f.wantEnd(context.Canceled)
		if f.Failed() {
			f.Fatal(name)
		}
	}
}

// wantEnd checks that one method waited, and how its context ended.
func (f *fixture) wantEnd(want error) {
	f.Helper()
	synctest.Wait()
	if n, err := f.server.lastEnd(); n != 1 || !errors.Is(err, want) {
		f.Errorf("the contexts of %d methods ended, the last one with %v; want one with %v", n, err, want)
	}
}

// testDeadlineBefore sends a message whose deadline has passed.
func testDeadlineBefore(f *fixture, m *form) {
	f.connect()
	ctx, cancel := context.WithTimeout(f.Context(), time.Second)
	defer cancel()
	if err := f.link.Enter(ctx, 0); err != nil {
		f.Fatal(err)
	}
	defer f.link.Release()
	<-ctx.Done()
	_, err := m.finish(ctx, f.link, m.request(answer, 0))
	f.want(err, rpc.Timeout, true)
	f.wantStarted(0)
}

// testDeadlineInTheQueue lets the deadline of a message pass before its method begins.
func testDeadlineInTheQueue(f *fixture, m *form) {
	f.serve(options{limits: dispatch.Limits{Workers: 1, Queue: 10, QueueBytes: 1 << 20}}, 0)
	f.connect()
	running := f.begin(f.Context(), formOf(call), formOf(call).request(wait, 0))
	ctx, cancel := context.WithTimeout(f.Context(), 5*time.Second)
	defer cancel()
	begin := time.Now()
	_, err := f.send(ctx, m, m.request(answer, 0))
	if rpc.KindOf(err) != rpc.Timeout {
		f.Errorf("got %v", err)
	}
	if took := time.Since(begin); took != 5*time.Second {
		f.Errorf("it took %v", took)
	}
	close(f.server.goOn)
	_, _ = running.end()
	f.wantStarted(1)
}

// testDeadlineWhileItRuns lets the deadline of a message pass while its method runs.
func testDeadlineWhileItRuns(f *fixture, m *form) {
	f.connect()
	ctx, cancel := context.WithTimeout(f.Context(), 5*time.Second)
	defer cancel()
	begin := time.Now()
	_, err := f.send(ctx, m, m.request(wait, 0))
	f.want(err, rpc.Timeout, false)
	if took := time.Since(begin); took != 5*time.Second {
		f.Errorf("it took %v", took)
	}
	f.wantStarted(1)
	if n, err := f.server.lastEnd(); n != 1 || err == nil {
		f.Errorf("the contexts of %d methods ended, the last one with %v", n, err)
	}
}

// testCanceledBefore sends a message that is canceled already.
func testCanceledBefore(f *fixture, m *form) {
	f.connect()
	if err := f.link.Enter(f.Context(), 0); err != nil {
		f.Fatal(err)
	}
	defer f.link.Release()
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	_, err := m.finish(ctx, f.link, m.request(answer, 0))
	f.want(err, rpc.Canceled, true)
	f.wantStarted(0)
}

// testCanceledWhileItRuns cancels a message while its method runs.
func testCanceledWhileItRuns(f *fixture, m *form) {
	f.connect()
	ctx, cancel := context.WithCancel(f.Context())
	a := f.begin(ctx, m, m.request(wait, 0))
	f.wantStarted(1)
	cancel()
	_, err := a.end()
	f.want(err, rpc.Canceled, false)
	f.wantEnd(context.Canceled)
}

// testClosedBefore sends a message over a carrier that was closed.
func testClosedBefore(f *fixture, m *form) {
	f.connect()
	if err := f.link.Enter(f.Context(), 0); err != nil {
		f.Fatal(err)
	}
	defer f.link.Release()
	f.carrier.Close()
	_, err := m.finish(f.Context(), f.link, m.request(answer, 0))
	f.want(err, rpc.Invalid, true, "closed")
	f.wantStarted(0)
}

// testClosedWhileItRuns closes the carrier while the method runs.
func testClosedWhileItRuns(f *fixture, m *form) {
	f.connect()
	a := f.begin(f.Context(), m, m.request(wait, 0))
	f.wantStarted(1)
	f.carrier.Close()
	_, err := a.end()
	f.want(err, rpc.OutcomeUnknown, false, "closed")
	f.wantEnd(context.Canceled)
}
