package host

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// nothing is the list of a host without servers.
func nothing() []rpc.Instance { return nil }

// blocked is a registry whose Publish returns when the test allows it.
type blocked struct {
	registry.Registry

	entered chan struct{}
	leave   chan error
}

// Publish implements [registry.Registry].
func (b *blocked) Publish(context.Context, []rpc.Instance) error {
	b.entered <- struct{}{}
	return <-b.leave
}

// Changes during a Publish are announced by one more Publish, which all their callers share.
func TestChangesAreToldTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, outcome := range map[string]error{"taken": nil, "refused": errAway} {
			b := &blocked{entered: make(chan struct{}, 100), leave: make(chan error)}
			a := newAnnouncer(b, nothing)
			var first, others sync.WaitGroup
			first.Go(func() { _ = a.tell(t.Context(), a.changed()) })
			<-b.entered
			var told, failed atomic.Int64
			for range 50 {
				others.Go(func() {
					switch err := a.tell(t.Context(), a.changed()); {
					case err == nil:
						told.Add(1)
					case errors.Is(err, errAway):
						failed.Add(1)
					}
				})
			}
			synctest.Wait()
			b.leave <- nil
			first.Wait()
			b.leave <- outcome
			others.Wait()
			if n := len(b.entered); n != 1 {
				t.Errorf("%s: the others took %d requests", name, n)
			}
			if want := int64(50); told.Load()+failed.Load() != want || (outcome == nil) != (told.Load() == want) {
				t.Errorf("%s: told %d, failed %d", name, told.Load(), failed.Load())
			}
			a.close()
		}
	})
}

// If the context of a caller ends while it waits for its turn, it does not use the registry.
func TestTellingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &blocked{entered: make(chan struct{}, 10), leave: make(chan error)}
		a := newAnnouncer(b, nothing)
		defer a.close()
		first := make(chan error, 1)
		go func() { first <- a.tell(t.Context(), a.changed()) }()
		<-b.entered
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := a.tell(ctx, a.changed())
		if rpc.KindOf(err) != rpc.Timeout || !rpc.SafeToRetry(err) || len(b.entered) != 0 {
			t.Errorf("got %v, and %d more requests", err, len(b.entered))
		}
		b.leave <- nil
		if err := <-first; err != nil {
			t.Error(err)
		}
	})
}

// A failed announcement is repeated in the background once, as soon as the registry is back.
func TestSettling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newHandle()
		a := newAnnouncer(r, nothing)
		for range 4 {
			r.failures <- errAway
		}
		if err := a.tell(t.Context(), a.changed()); !errors.Is(err, errAway) {
			t.Errorf("got %v", err)
		}
		began := time.Now()
		a.settle()
		a.settle()
		<-r.published
		if took := time.Since(began); took != 7*time.Second { // 1 + 2 + 4
			t.Errorf("it took %v", took)
		}
		time.Sleep(time.Hour)
		if n := len(r.published); n != 0 {
			t.Errorf("told %d times too often", n)
		}
		a.close()
		a.settle() // does nothing any more
		synctest.Wait()
		if n := len(r.published); n != 0 {
			t.Errorf("told %d times after the end", n)
		}
	})
}

// Closing does not wait for a registry that is away.
func TestEndOfSettling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newHandle()
		a := newAnnouncer(r, nothing)
		r.failures <- errAway
		a.settle()
		synctest.Wait()
		began := time.Now()
		a.close()
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

// besides is a gateway that may have an instance in addition to the servers of the process.
type besides struct {
	Gateway

	name atomic.Pointer[string]
}

func (b *besides) Beside(bootID, addr string) []rpc.Instance {
	name := b.name.Load()
	if name == nil {
		return nil
	}
	return []rpc.Instance{{Server: *name, BootID: bootID, Addr: addr, State: rpc.StateActive}}
}

func (b *besides) Open(*intake.Intake)        {}
func (b *besides) Leave()                     {}
func (b *besides) Stop(context.Context) error { return nil }

// Additional instances are announced together with the servers, and again when they change.
func TestBeside(t *testing.T) {
	t.Parallel()
	r := newHandle()
	h := newHost(t, r)
	b := &besides{}
	h.config.Gateway = b
	s := newServer(h, "host1", unchanged)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-r.published
	edge := "edge1"
	b.name.Store(&edge)
	if err := h.Announce(t.Context()); err != nil {
		t.Fatal(err)
	}
	i, _ := s.Instance()
	list := <-r.published
	if len(list) != 2 || list[1].Server != edge || list[1].BootID != i.BootID || list[1].Addr != i.Addr {
		t.Errorf("published are %+v", list)
	}
	b.name.Store(nil)
	h.Settle()
	if list := <-r.published; len(list) != 1 {
		t.Errorf("published are %+v", list)
	}
}
