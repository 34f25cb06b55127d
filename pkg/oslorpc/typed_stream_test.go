package oslorpc_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// TestTypedStreamAfterTheEnd opens streams whose context has already ended.
func TestTypedStreamAfterTheEnd(t *testing.T) {
	f, _ := inventories(t, "1.2")
	v := volumes(f)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		stream, err := v.SyncVolumes(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_, err = stream.Recv()
		wantKind(t, err, oslorpc.Canceled, true)
	}
}

// backwards is a context whose deadline passes when the test says so. It calls the functions of
// AfterFunc in reverse order, one after the other.
type backwards struct {
	context.Context

	done chan struct{}

	mu    sync.Mutex
	hears []func()
}

func (b *backwards) Done() <-chan struct{} { return b.done }

func (b *backwards) Err() error {
	select {
	case <-b.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// Value hides the contexts inside, which package context would use.
func (b *backwards) Value(any) any { return nil }

// AfterFunc is the method that package context uses if a context has it.
func (b *backwards) AfterFunc(f func()) (stop func() bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hears = append(b.hears, f)
	return func() bool { return true }
}

func (b *backwards) pass() {
	close(b.done)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range slices.Backward(b.hears) {
		f()
		time.Sleep(5 * time.Millisecond) // for what it does beside us
	}
}

// TestTypedStreamDeadline checks a deadline that passes before a stream is open, and one that
// passes in the middle of the stream.
func TestTypedStreamDeadline(t *testing.T) {
	f, all := inventories(t, "1.2")
	for name, opens := range map[string]bool{"before": false, "in the middle": true} {
		t.Run(name, func(t *testing.T) {
			ctx := &backwards{Context: t.Context(), done: make(chan struct{})}
			stream, err := volumes(f).SyncVolumes(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if opens {
				if err := stream.Send(&v1.SyncVolumesRequest{Name: "a"}); err != nil {
					t.Fatal(err)
				}
				until(t, "it came", func() bool { return all["1.2"].count() == 1 })
				if _, err := stream.Recv(); err != nil {
					t.Fatal(err)
				}
			}
			ctx.pass()
			_, err = stream.Recv()
			wantKind(t, err, oslorpc.Timeout, !opens)
		})
	}
}

// TestTypedStreamEndedByAMessage sends a later message that ends the stream. The receiver learns
// the reason, and all resources are released.
func TestTypedStreamEndedByAMessage(t *testing.T) {
	f := oslorpctest.New(t, oslorpc.WithLimits(rpc.Limits{MessageSize: 1 << 10}))
	f.Serve(oslorpc.Target{Topic: "inventory", Server: "a"}, nil, offers(&inventory{name: "a"}))
	v := volumes(f)
	for name, test := range map[string]struct {
		message string
		kind    oslorpc.Kind
		says    string
	}{
		"it is too large":      {strings.Repeat("x", 1<<10), oslorpc.TooLarge, "the limit is 1024"},
		"it cannot be encoded": {"\xff", oslorpc.BadArguments, "invalid UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := v.SyncVolumes(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.Send(&v1.SyncVolumesRequest{Name: "a"}); err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); err != nil {
				t.Fatal(err)
			}
			received := make(chan error)
			go func() {
				_, err := stream.Recv()
				received <- err
			}()
			sent := stream.Send(&v1.SyncVolumesRequest{Name: test.message})
			meanwhile := <-received
			_, after := stream.Recv()
			for _, err := range []error{sent, meanwhile, after} {
				wantKind(t, err, test.kind, false)
				wantText(t, err, test.says)
			}
			if stream.Context().Err() == nil {
				t.Error("the stream has not ended")
			}
		})
	}
}

// TestTypedStreamRefusedForLong has an only server that refuses again and again. The timeout limits
// this phase. It does not limit how long a server may be silent after it accepted the stream.
func TestTypedStreamRefusedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := oslorpctest.New(t)
		f.Serve(oslorpc.Target{Topic: "inventory", Server: "a"}, nil, oslorpc.WithWorkers(1), oslorpc.WithQueue(0, 0), offers(&inventory{name: "a"}))
		v := volumes(f, oslorpc.WithTimeout(5*time.Second))
		first, err := v.WatchVolumes(t.Context(), &v1.WatchVolumesRequest{Prefix: "wait"})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		began := time.Now()
		second, err := v.WatchVolumes(t.Context(), &v1.WatchVolumesRequest{})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := second.Recv()
			ended <- err
		}()
		select {
		case err := <-ended:
			wantKind(t, err, oslorpc.Timeout, true)
			wantText(t, err, "queue is full")
		case <-time.After(time.Minute):
			t.Error("it goes on and on")
		}
		if took := time.Since(began); took < 5*time.Second || took > 6*time.Second {
			t.Errorf("it took %v", took)
		}
		if err := first.Context().Err(); err != nil {
			t.Errorf("the first stream: %v", err)
		}
	})
}

// TestTypedStreamBegunTooLate sends a first message after the context has ended, while another
// goroutine receives.
func TestTypedStreamBegunTooLate(t *testing.T) {
	f, all := inventories(t, "1.2")
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := volumes(f).SyncVolumes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	received := make(chan error, 1)
	go func() {
		_, err := stream.Recv()
		received <- err
	}()
	cancel()
	time.Sleep(10 * time.Millisecond) // nothing else puts one after the other
	if err := stream.Send(&v1.SyncVolumesRequest{}); !errors.Is(err, io.EOF) {
		t.Errorf("sending: %v", err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Errorf("at the end: %v", err)
	}
	wantKind(t, <-received, oslorpc.Canceled, true)
	if all["1.2"].count() > 0 {
		t.Error("it was sent")
	}
}
