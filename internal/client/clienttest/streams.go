package clienttest

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/client"
	"github.com/oslorpc/oslorpc/internal/refusal"
	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// streams tests the streams of a typed service.
var streams = map[string]func(*testing.T, *world){
	"a server streams": func(t *testing.T, w *world) {
		w.serve("1.2", "a")
		must(t, watch(t.Context(), w.inventory()))
		settle(w)
		wantRuns(t, w.servers["a"], "WatchVolumes")
	},
	"a client streams": func(t *testing.T, w *world) {
		w.serve("1.2", "a")
		must(t, sendAll(t.Context(), w.inventory(), 3))
		wantRuns(t, w.servers["a"], "ImportVolumes", "ImportVolumes", "ImportVolumes")
	},
	"both stream": func(t *testing.T, w *world) {
		w.serve("1.2", "a")
		s := w.syncing(t, t.Context(), w.inventory())
		for _, name := range []string{"x", "y", "z"} {
			must(t, s.Send(&v1.SyncVolumesRequest{Name: name}))
			var got v1.SyncVolumesResponse
			if must(t, s.Receive(&got)); got.GetName() != name {
				t.Errorf("got %v", &got)
			}
		}
		must(t, s.CloseSend())
		for range 2 {
			if err := s.Receive(&v1.SyncVolumesResponse{}); !errors.Is(err, io.EOF) {
				t.Errorf("it ended with %v", err)
			}
		}
	},
	"a stream without messages": func(t *testing.T, w *world) {
		w.serve("1.2", "a")
		s := w.syncing(t, t.Context(), w.inventory())
		must(t, s.CloseSend())
		if err := s.Receive(&v1.SyncVolumesResponse{}); !errors.Is(err, io.EOF) {
			t.Errorf("it ended with %v", err)
		}
		must(t, sendAll(t.Context(), w.inventory(), 0))
	},
	"a refused stream of the client is safe to retry": func(t *testing.T, w *world) {
		w.serve("1.2", "a")
		w.servers["a"].refuses(refusal.New(refusal.Full))
		wantError(t, sendAll(t.Context(), w.inventory(), 1), rpc.Refused, true, "at a (addr-a)")
		wantRuns(t, w.servers["a"])
	},
	"a stream ends with its context": func(t *testing.T, w *world) {
		w.serve("1.2", "a")
		ctx, cancel := context.WithCancel(t.Context())
		s := w.syncing(t, ctx, w.inventory())
		must(t, s.Send(&v1.SyncVolumesRequest{Name: "x"}))
		must(t, s.Receive(&v1.SyncVolumesResponse{}))
		time.AfterFunc(time.Second, cancel)
		wantError(t, s.Receive(&v1.SyncVolumesResponse{}), rpc.Canceled, false, "at a (addr-a)")
		if err := s.Send(&v1.SyncVolumesRequest{}); !errors.Is(err, io.EOF) {
			t.Errorf("sending fails with %v", err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		s = w.syncing(t, ctx, w.inventory())
		wantError(t, s.Receive(&v1.SyncVolumesResponse{}), rpc.Canceled, true, "before a message opened the stream")
	},
	"the timeout bounds the opening of a stream": func(t *testing.T, w *world) {
		for _, call := range []*client.TypedCall{syncCall(), watchCall()} {
			begin := time.Now()
			s, err := w.inventory(timeout(5*time.Second)).Stream(t.Context(), call)
			must(t, err)
			_ = s.Send(firstOf(call))
			err = s.Receive(&v1.SyncVolumesResponse{})
			wantError(t, err, rpc.Timeout, true, "the stream was not opened within the timeout")
			if took := time.Since(begin); took != 5*time.Second {
				t.Errorf("it took %v", took)
			}
		}
	},
	"the timeout does not bound the stream": func(t *testing.T, w *world) {
		w.serve("1.2", "a")
		s := w.syncing(t, t.Context(), w.inventory(timeout(5*time.Second)))
		for range 3 {
			must(t, s.Send(&v1.SyncVolumesRequest{Name: "x"}))
			must(t, s.Receive(&v1.SyncVolumesResponse{}))
			time.Sleep(time.Minute)
		}
		must(t, s.CloseSend())
		if err := s.Receive(&v1.SyncVolumesResponse{}); !errors.Is(err, io.EOF) {
			t.Errorf("it ended with %v", err)
		}
	},
	"a stream breaks with its server": func(t *testing.T, w *world) {
		w.serve("1.2", "a")
		s := w.syncing(t, t.Context(), w.inventory())
		must(t, s.Send(&v1.SyncVolumesRequest{Name: "x"}))
		must(t, s.Receive(&v1.SyncVolumesResponse{}))
		time.AfterFunc(time.Second, w.servers["a"].kill)
		wantError(t, s.Receive(&v1.SyncVolumesResponse{}), rpc.OutcomeUnknown, false, "at a (addr-a)")
	},
	"a stream that is not read waits": func(t *testing.T, w *world) {
		w.serve("1.2", "a")
		s := w.syncing(t, t.Context(), w.inventory())
		received := make(chan error, 1)
		go func() { received <- s.Receive(&v1.SyncVolumesResponse{}) }()
		synctest.Wait()
		select {
		case err := <-received:
			t.Fatalf("it received before the first message: %v", err)
		default:
		}
		must(t, s.Send(&v1.SyncVolumesRequest{Name: "x"}))
		must(t, <-received)
		must(t, s.CloseSend())
		if err := s.Receive(&v1.SyncVolumesResponse{}); !errors.Is(err, io.EOF) {
			t.Errorf("it ended with %v", err)
		}
	},
}

func watchCall() *client.TypedCall {
	return &client.TypedCall{Path: v1.InventoryService_WatchVolumes_FullMethodName, ServerStreams: true}
}

func importCall() *client.TypedCall {
	return &client.TypedCall{Path: v1.InventoryService_ImportVolumes_FullMethodName, ClientStreams: true}
}

func syncCall() *client.TypedCall {
	return &client.TypedCall{Path: v1.InventoryService_SyncVolumes_FullMethodName, ClientStreams: true, ServerStreams: true}
}

// firstOf returns a first message for a stream.
func firstOf(call *client.TypedCall) any {
	if call.ClientStreams {
		return &v1.SyncVolumesRequest{}
	}
	return &v1.WatchVolumesRequest{}
}

// syncing opens a stream in both directions that ends with the test.
func (w *world) syncing(t *testing.T, ctx context.Context, c *client.Client) *client.Stream {
	t.Helper()
	return begin(t, ctx, c, syncCall())
}

// importing opens a stream on which the client sends.
func (w *world) importing(t *testing.T, c *client.Client) *client.Stream {
	t.Helper()
	return begin(t, t.Context(), c, importCall())
}

func begin(t *testing.T, ctx context.Context, c *client.Client, call *client.TypedCall) *client.Stream {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	t.Cleanup(cancel)
	s, err := c.Stream(ctx, call)
	must(t, err)
	return s
}

// watch reads a stream from the server to its end.
func watch(ctx context.Context, c *client.Client) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := c.Stream(ctx, watchCall())
	if err != nil {
		return err
	}
	if err := s.Send(&v1.WatchVolumesRequest{}); err != nil {
		return err
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	for n := 0; ; n++ {
		err := s.Receive(&v1.WatchVolumesResponse{})
		if errors.Is(err, io.EOF) && n == 3 {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// sendAll sends n messages on a stream and checks that all arrived.
func sendAll(ctx context.Context, c *client.Client, n int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := c.Stream(ctx, importCall())
	if err != nil {
		return err
	}
	for range n {
		if err := s.Send(&v1.ImportVolumesRequest{Name: "v"}); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	var r v1.ImportVolumesResponse
	if err := s.Receive(&r); err != nil {
		return err
	}
	if r.GetImported() != int64(n) {
		return errors.New("some did not arrive")
	}
	return nil
}
