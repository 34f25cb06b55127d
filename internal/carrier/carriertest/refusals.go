package carriertest

import (
	"context"
	"errors"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// testNotConnected sends to an address where nothing listens.
func testNotConnected(f *fixture, m *form) {
	f.Kill(address)
	ctx, cancel := withDeadline(f.Context())
	defer cancel()
	if err := f.link.Connect(ctx); err == nil {
		f.Error("it is connected")
	}
	_, err := f.send(f.Context(), m, m.request(answer, 0))
	f.want(err, rpc.Unreachable, true)
	f.wantStarted(0)
}

// wantRefusal checks that a server refused a message for the given reason.
func (f *fixture) wantRefusal(err error, why refusal.Reason) {
	f.Helper()
	f.want(err, rpc.Refused, true)
	if !errors.Is(err, why) {
		f.Errorf("got %v, want that %v", err, why)
	}
}

// testFull sends to a server whose queue is full.
func testFull(f *fixture, m *form) {
	f.serve(options{limits: dispatch.Limits{Workers: 1}}, 0)
	f.connect()
	running := f.begin(f.Context(), formOf(call), formOf(call).request(wait, 0))
	_, err := f.send(f.Context(), m, m.request(answer, 0))
	f.wantRefusal(err, refusal.Full)
	f.wantFrom(err)
	close(f.server.goOn)
	f.wantItems(first(running.end()), nil, "done")
	f.wantStarted(1)
}

func first(items []string, _ error) []string { return items }

// testStopping sends to a server that is stopping, and to a server that has stopped.
func testStopping(f *fixture, m *form) {
	f.connect()
	f.server.phase.Refuse()
	_, err := f.send(f.Context(), m, m.request(answer, 0))
	f.wantRefusal(err, refusal.Stopping)
	f.server.SetServers(nil)
	_, err = f.send(f.Context(), m, m.request(answer, 0))
	f.wantRefusal(err, refusal.Stopping)
	f.wantStarted(0)
}

// testMisdirected sends to an address that now belongs to another process.
func testMisdirected(f *fixture, m *form) {
	f.connect()
	r := m.request(answer, 0)
	r.InstanceID = "b0." + name
	_, err := f.send(f.Context(), m, r)
	f.wantRefusal(err, refusal.Misdirected)
	f.wantStarted(0)
}

// testDenied sends a message that an interceptor of the server refuses.
func testDenied(f *fixture, m *form) {
	f.connect()
	f.server.accept = func(context.Context, *rpc.Message) (context.Context, error) {
		return nil, errors.New("not you")
	}
	_, err := f.send(f.Context(), m, m.request(answer, 0))
	f.want(err, rpc.AccessDenied, true, "not you")
	f.wantFrom(err)
	f.wantStarted(0)
}

// testNoSuchMethod calls a method that the server does not have.
func testNoSuchMethod(f *fixture, m *form) {
	f.connect()
	r := m.request(answer, 0)
	r.Method = "missing"
	if m.isTyped() {
		r.Typed.Path = "/typedtest.v1.PlainService/Echo"
	}
	_, err := f.send(f.Context(), m, r)
	f.want(err, rpc.NoSuchMethod, true)

	r = m.request(answer, 0)
	r.Target.Version = "1.9"
	_, err = f.send(f.Context(), m, r)
	f.want(err, rpc.UnsupportedVersion, true, "1.9")
	f.wantStarted(0)
}

// testUnencodable sends arguments that cannot be encoded.
func testUnencodable(f *fixture, m *form) {
	f.connect()
	_, err := f.send(f.Context(), m, m.request("\xff", 0))
	f.want(err, rpc.BadArguments, true)
	f.wantStarted(0)
}

// testCheck checks that messages that are too large are refused before they are sent.
func testCheck(f *fixture) {
	const limit = 10 << 10
	f.use(Config{MaxSize: limit})
	for i := range forms {
		m := &forms[i]
		if err := f.carrier.Check(m.request(answer, 0)); err != nil {
			f.Errorf("%s: %v", m.name, err)
		}
		err := f.carrier.Check(m.request(string(make([]byte, limit)), 0))
		f.want(err, rpc.TooLarge, true, "10240", "send less")
	}
	empty := &carrier.Request{Typed: &carrier.Typed{ClientStreams: true}}
	if err := f.carrier.Check(empty); err != nil {
		f.Errorf("a stream without a message: %v", err)
	}
}

// testRequestTooLarge sends messages that are larger than the server accepts. A stream runs already
// when the server looks at its messages.
func testRequestTooLarge(f *fixture, m *form) {
	const limit = 10 << 10
	f.serve(options{maxSize: limit}, 0)
	f.connect()
	_, err := f.send(f.Context(), m, m.request(string(make([]byte, limit)), 0))
	streams := m.isTyped() && m.delivery != rpc.DeliveryCall && !m.isCast()
	f.want(err, rpc.TooLarge, !streams, "this server accepts at most 10240")
}

// testResultTooLarge checks results that the server does not send because of their size, and
// results that the client does not accept.
func testResultTooLarge(f *fixture, m *form) {
	f.serve(options{maxSize: 1 << 20}, 0)
	f.connect()
	_, err := f.send(f.Context(), m, m.request(large, 0))
	f.want(err, rpc.TooLarge, false, "the method ran", "return less")

	f.serve(options{}, 0)
	f.use(Config{MaxSize: 1 << 20})
	f.connect()
	_, err = f.send(f.Context(), m, m.request(large, 0))
	f.want(err, rpc.TooLarge, false, "the method ran", "ask for less")
}

// testUnsendableLaterMessage sends messages on a running stream that cannot be sent.
func testUnsendableLaterMessage(f *fixture) {
	const limit = 10 << 10
	f.use(Config{MaxSize: limit})
	f.connect()
	m := formOf(bothStream)
	for name, test := range map[string]struct {
		kind rpc.Kind
		name string
	}{
		"too large":   {rpc.TooLarge, string(make([]byte, limit))},
		"unencodable": {rpc.BadArguments, "\xff"},
	} {
		stream, r := f.open(m, answer, 0)
		received := make(chan error, 1)
		f.wantItem(stream, r, answer)
		go func() {
			_, err := next(stream, r)
			received <- err
		}()
		err := stream.Send(&v1.SyncVolumesRequest{Name: test.name})
		f.want(err, test.kind, false)
		if got := <-received; got != err { //nolint:errorlint // It is to be the same.
			f.Errorf("%s: sending fails with %v, and receiving with %v", name, err, got)
		}
		f.wantOutstanding(0)
	}
}
