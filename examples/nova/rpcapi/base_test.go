package rpcapi_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// A program that waits for conductors reports often at first that there are none, and less often
// later.
func TestWaitUntilReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		transport := f.Transport()
		began := time.Now()
		var missing []time.Duration
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		ready := make(chan error, 1)
		go func() {
			ready <- rpcapi.NewBaseAPI(transport, "conductor").WaitUntilReady(ctx, func(err error) {
				missing = append(missing, time.Since(began))
				if !oslorpc.IsNotDelivered(err) {
					t.Errorf("the conductors are missing: %v", err)
				}
			})
		}()
		time.Sleep(250 * time.Second)
		serve(f, "conductor", "ctl", conductor(manager{}))
		if err := <-ready; err != nil {
			t.Error(err)
		}
		want := []time.Duration{}
		for s := 10; s <= 100; s += 10 {
			want = append(want, time.Duration(s)*time.Second)
		}
		want = append(want, 160*time.Second, 220*time.Second)
		if !slices.Equal(missing, want) {
			t.Errorf("they were missing after %v", missing)
		}
		if took := time.Since(began); took > 251*time.Second {
			t.Errorf("after they came it took until %v", took)
		}
	})
}

// The program also waits for conductors that exist and do not answer, and for a conductor that dies
// after it got the request.
func TestWaitUntilAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		s := serve(f, "conductor", "ctl", conductor(manager{}))
		s.Hold()
		missing := []oslorpc.Kind{}
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		err := rpcapi.NewBaseAPI(f.Transport(), "conductor").WaitUntilReady(ctx, func(err error) {
			missing = append(missing, oslorpc.KindOf(err))
			switch len(missing) {
			case 1:
				go func() {
					time.Sleep(5 * time.Second)
					s.Kill()
				}()
			case 3:
				s.Start()
			}
		})
		if err != nil {
			t.Error(err)
		}
		if want := []oslorpc.Kind{oslorpc.Timeout, oslorpc.OutcomeUnknown, oslorpc.NoInstance}; !slices.Equal(missing, want) {
			t.Errorf("they were missing: %v", missing)
		}
		// In a session, a client takes a second to be sure that the process is dead.
		if took := time.Since(began); took < 25*time.Second || took > 27*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// A call does not wait if waiting cannot help.
func TestWaitUntilReadyGivesUp(t *testing.T) {
	for name, c := range map[string]struct {
		begin func(ctx context.Context, t *testing.T) (*oslorpc.Transport, context.Context)
		want  error
	}{
		"canceled": {func(ctx context.Context, t *testing.T) (*oslorpc.Transport, context.Context) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(3*time.Second, cancel)
			return newFleet(t).Transport(), ctx
		}, context.Canceled},
		"out of time": {func(ctx context.Context, t *testing.T) (*oslorpc.Transport, context.Context) {
			ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
			t.Cleanup(cancel)
			return newFleet(t).Transport(), ctx
		}, context.DeadlineExceeded},
		"closed": {func(ctx context.Context, t *testing.T) (*oslorpc.Transport, context.Context) {
			transport := newFleet(t).Transport()
			time.AfterFunc(3*time.Second, func() { _ = transport.Close() })
			return transport, ctx
		}, nil},
		"something else on the topic": {func(ctx context.Context, t *testing.T) (*oslorpc.Transport, context.Context) {
			f := newFleet(t)
			serve(f, "conductor", "ctl", []oslorpc.Endpoint{rpcapi.ConductorManager(manager{})})
			return f.Transport(), ctx
		}, oslorpc.UnsupportedVersion},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				transport, ctx := c.begin(t.Context(), t)
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				began := time.Now()
				err := rpcapi.NewBaseAPI(transport, "conductor").WaitUntilReady(ctx, func(err error) {
					t.Errorf("it waits though %v", err)
					cancel()
				})
				if err == nil || c.want != nil && !errors.Is(err, c.want) {
					t.Errorf("got %v", err)
				}
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

func TestNewUUID(t *testing.T) {
	a, b := rpcapi.NewUUID(), rpcapi.NewUUID()
	if len(a) != 36 || a[14] != '4' || !slices.Contains([]byte("89ab"), a[19]) || a == b {
		t.Errorf("UUIDs are %s and %s", a, b)
	}
}
