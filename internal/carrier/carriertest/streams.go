package carriertest

import (
	"context"
	"errors"
	"io"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/carrier"
	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// open opens a stream that ends with the test.
func (f *fixture) open(m *form, what string, items int) (carrier.Stream, *carrier.Request) {
	f.Helper()
	return f.openWith(f.Context(), m, what, items)
}

func (f *fixture) openWith(ctx context.Context, m *form, what string, items int) (carrier.Stream, *carrier.Request) {
	f.Helper()
	if err := f.link.Enter(ctx, 0); err != nil {
		f.Fatal("Enter: ", err)
	}
	defer f.link.Release()
	r := m.request(what, items)
	stream, err := f.link.Open(ctx, r)
	if err != nil {
		f.Fatal("Open: ", err)
	}
	f.Cleanup(func() { stream.Close(nil) })
	return stream, r
}

// wantItem receives an item and checks it.
func (f *fixture) wantItem(stream carrier.Stream, r *carrier.Request, want string) {
	f.Helper()
	if got, err := next(stream, r); err != nil || got != want {
		f.Fatalf("got %q, %v; want %q", got, err, want)
	}
}

// wantOver checks that a stream is over: it returns no more items and has released its place. After
// an error, a stream never looks complete.
func (f *fixture) wantOver(stream carrier.Stream, r *carrier.Request, complete bool) {
	f.Helper()
	f.wantOutstanding(0)
	for range 2 {
		if item, err := next(stream, r); err == nil || complete != errors.Is(err, io.EOF) {
			f.Errorf("after the end came %q, %v", item, err)
		}
	}
	stream.Close(nil)
	f.wantOutstanding(0)
}

// testItems receives all items of a stream and checks their order.
func testItems(f *fixture, m *form) {
	f.connect()
	for _, n := range []int{1, 3} {
		stream, r := f.open(m, answer, n)
		f.wantItem(stream, r, "0")
		f.wantOutstanding(1)
		items, err := rest(stream, r)
		f.wantItems(items, err, []string{"1", "2"}[:n-1]...)
		f.wantOver(stream, r, true)
	}
}

// testErrorAfterItems makes a method fail after some items. The items arrive before the error.
func testErrorAfterItems(f *fixture, m *form) {
	f.connect()
	stream, r := f.open(m, fail, 2)
	f.wantItem(stream, r, "0")
	f.wantItem(stream, r, "1")
	_, err := next(stream, r)
	f.want(err, rpc.Remote, false, errBroken.Error())
	f.wantOver(stream, r, false)
}

// testCutAfterItems breaks the connection in the middle of a stream. The stream must not look
// complete.
func testCutAfterItems(f *fixture, m *form) {
	for name, breaks := range f.breaks() {
		f.serve(options{}, 0)
		f.connect()
		stream, r := f.open(m, wait, 2)
		f.wantItem(stream, r, "0")
		synctest.Wait()
		breaks()
		items, err := rest(stream, r)
		if len(items) > 1 {
			f.Errorf("%s: got %q", name, items)
		}
		f.want(err, rpc.OutcomeUnknown, false)
		f.wantOver(stream, r, false)
		f.wantEnd(context.Canceled)
	}
}

// testForcedStopAfterItems stops the server by force in the middle of a stream. The stream must not
// look complete, although its method does not fail.
func testForcedStopAfterItems(f *fixture, m *form) {
	f.connect()
	stream, r := f.open(m, giveUp, 2)
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	_ = f.server.dispatcher.Stop(ctx) // by force, which is an error
	_, err := rest(stream, r)
	f.want(err, rpc.OutcomeUnknown, false)
	f.wantOver(stream, r, false)
}

// testCloseEarly closes a stream before its end. The method's context ends.
func testCloseEarly(f *fixture, m *form) {
	f.connect()
	stream, r := f.open(m, wait, 2)
	f.wantItem(stream, r, "0")
	f.wantOutstanding(1)
	stream.Close(nil)
	f.wantOver(stream, r, false)
	f.wantEnd(context.Canceled)
}

// testCloseWithACause closes a stream while the client waits for an item.
func testCloseWithACause(f *fixture, m *form) {
	f.connect()
	stream, r := f.open(m, wait, 1)
	f.wantItem(stream, r, "0")
	received := make(chan error, 1)
	go func() {
		_, err := next(stream, r)
		received <- err
	}()
	synctest.Wait()
	cause := &rpc.Error{Kind: rpc.Timeout, Message: "too slow"}
	stream.Close(cause)
	if err := <-received; err != error(cause) { //nolint:errorlint // It is to be the same.
		f.Errorf("got %v", err)
	}
	f.wantOver(stream, r, false)
	f.wantEnd(context.Canceled)
}

// testEndOfContext ends the context of a stream while nothing receives from it. The stream releases
// its place.
func testEndOfContext(f *fixture, m *form) {
	f.connect()
	ctx, cancel := context.WithTimeout(f.Context(), 5*time.Second)
	defer cancel()
	stream, r := f.openWith(ctx, m, wait, 1)
	f.wantItem(stream, r, "0")
	<-ctx.Done()
	f.wantOutstanding(0)
	_, err := next(stream, r)
	f.want(err, rpc.Timeout, false)
	f.wantOver(stream, r, false)
}

// testSlowConsumer checks flow control: a slow consumer holds back a method that sends without end.
func testSlowConsumer(f *fixture, m *form) {
	f.connect()
	stream, r := f.open(m, endless, 1)
	synctest.Wait() // it returns once the method waits
	sent := f.server.emitted.Load()
	for range sent {
		if _, err := next(stream, r); err != nil {
			f.Fatal(err)
		}
	}
	synctest.Wait()
	if f.server.emitted.Load() == sent {
		f.Error("the method did not continue")
	}
	stream.Close(nil)
	f.wantOver(stream, r, false)
}

// testBothSend sends and receives alternately.
func testBothSend(f *fixture) {
	f.connect()
	stream, r := f.open(formOf(bothStream), "a", 0)
	f.wantItem(stream, r, "a")
	for _, name := range []string{"b", "c"} {
		if err := stream.Send(&v1.SyncVolumesRequest{Name: name}); err != nil {
			f.Fatal(err)
		}
		f.wantItem(stream, r, name)
	}
	if err := stream.CloseSend(); err != nil {
		f.Fatal(err)
	}
	items, err := rest(stream, r)
	f.wantItems(items, err)
	f.wantOver(stream, r, true)
}

// testMetadataOfStreams receives the metadata that a method sends before and after its items.
func testMetadataOfStreams(f *fixture) {
	f.connect()
	stream, r := f.open(formOf(bothStream), "a", 0)
	header, err := stream.Header()
	if err != nil || header.Get("first") != "1" {
		f.Errorf("before: %v, %v", header, err)
	}
	if err := stream.CloseSend(); err != nil {
		f.Fatal(err)
	}
	items, err := rest(stream, r)
	f.wantItems(items, err, "a")
	if trailer := stream.Trailer(); trailer.Get("last") != "2" {
		f.Errorf("after: %v", trailer)
	}
}

// testOpeningItems opens streams on which only the server sends. Opening takes until the first sign
// of the server.
func testOpeningItems(f *fixture) {
	f.connect()
	for _, name := range []string{multicall, typedItems} {
		m := formOf(name)
		sent := time.Time{}
		r := m.request(wait, 0)
		r.Sent = func() { sent = time.Now() }
		begin := time.Now()
		a := f.begin(f.Context(), m, r)
		time.Sleep(time.Second)
		close(f.server.goOn)
		items, err := a.end()
		f.wantItems(items, err, "done")
		if took := time.Since(begin); took != time.Second || sent != begin {
			f.Errorf("%s: it took %v, and was sent after %v", name, took, sent.Sub(begin))
		}
		f.server.goOn = make(chan struct{})
	}
}

// testOpeningClientStream opens streams on which the client sends. Opening does not wait for the
// server.
func testOpeningClientStream(f *fixture) {
	f.connect()
	f.Lose(address)
	stream, r := f.open(formOf(clientStream), answer, 0)
	f.Find(address)
	for range 3 {
		if err := stream.Send(&v1.ImportVolumesRequest{}); err != nil {
			f.Fatal(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		f.Fatal(err)
	}
	f.wantItem(stream, r, "4")
	f.wantOver(stream, r, true)

	r = formOf(clientStream).request(answer, 0)
	r.Typed.Message = nil // a stream may have no message at all
	items, err := f.send(f.Context(), formOf(clientStream), r)
	f.wantItems(items, err, "0")
}

// testSendAfterTheEnd sends on a stream after its method has returned.
func testSendAfterTheEnd(f *fixture) {
	f.connect()
	stream, r := f.open(formOf(clientStream), fail, 0)
	synctest.Wait()
	if err := stream.Send(&v1.ImportVolumesRequest{}); !errors.Is(err, io.EOF) {
		f.Errorf("got %v", err)
	}
	_, err := next(stream, r)
	f.want(err, rpc.Remote, false, errBroken.Error())
	f.wantOver(stream, r, false)
}
