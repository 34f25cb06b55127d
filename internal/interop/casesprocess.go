package interop

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oslorpc/oslorpc/internal/interop/wire"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// atOnce is how soon a caller must learn that its server was killed.
const atOnce = 5 * time.Second

// killed checks that the caller of a method learns immediately that the outcome is unknown, and
// that other messages go to the remaining server.
func killed(ctx context.Context, c *cell) error {
	own, err := c.own(ctx, "kill", serverA, serverB)
	if err != nil {
		return err
	}
	defer own.kill()
	n := c.run.nextNote()
	r := wire.Request{
		Do: wire.Call, Topic: own[0].topic, Server: serverA, Method: "sleep", Timeout: 60, Args: args{"note": n, "seconds": 60}.encode(),
	}
	o, err := c.client.begin(r)
	if err != nil {
		return err
	}
	if err := own[0].await(wire.Event{Event: wire.Began, Note: n}, patience); err != nil {
		return err
	}
	own[0].kill()
	at := time.Now()
	reply, err := o.wait()
	if err != nil {
		return err
	}
	if took := time.Since(at); took > atOnce {
		return fmt.Errorf("the caller learned of the kill only after %v", took)
	}
	if err := c.failed("the call", reply, wire.Error{Kind: rpc.OutcomeUnknown.Name(), Server: serverA}); err != nil {
		return err
	}
	for range 10 {
		after := wire.Request{Do: wire.Call, Topic: own[0].topic, Method: "whoami", Timeout: 20}
		if err := c.want(after, `"b"`); err != nil {
			return fmt.Errorf("after the kill: %w", err)
		}
	}
	return nil
}

const (
	// callers is how many calls are outstanding while servers stop.
	callers = 6
	// callsAfter is how many calls are made after the last stop.
	callsAfter = 60
)

// stopped replaces two servers one after the other under load. No call fails, and no call runs
// twice.
func stopped(ctx context.Context, c *cell) error {
	own, err := c.own(ctx, "stop", serverA, serverB)
	if err != nil {
		return err
	}
	defer func() { own.kill() }()
	l := &load{cell: c, topic: own[0].topic}
	l.begin()
	replaced := func() error {
		if err := l.more(callsAfter); err != nil {
			return err
		}
		next, err := c.own(ctx, "stop", serverC)
		if err != nil {
			return err
		}
		own = append(own, next...)
		for _, s := range own[:2] {
			s.terminate()
			if err := s.ended(); err != nil {
				return err
			}
			if err := s.await(wire.Event{Event: wire.Stopped}, patience); err != nil {
				return err
			}
		}
		return l.more(callsAfter)
	}()
	return errors.Join(replaced, l.end(own))
}

// load is a number of callers that each send one message after the other.
type load struct {
	cell  *cell
	topic string

	over  atomic.Bool
	calls atomic.Int64
	all   sync.WaitGroup

	mu    sync.Mutex
	notes []string
	err   error
}

func (l *load) begin() {
	for range callers {
		l.all.Go(func() {
			for !l.over.Load() {
				if err := l.one(); err != nil {
					l.mu.Lock()
					l.err = err
					l.mu.Unlock()
					l.over.Store(true)
				}
			}
		})
	}
}

// one makes a call, which must return the name of a server.
func (l *load) one() error {
	n := l.cell.run.nextNote()
	reply, err := l.cell.client.do(wire.Request{
		Do: wire.Call, Topic: l.topic, Method: "note", Timeout: 30, Args: args{"note": n, "seconds": 0.02}.encode(),
	})
	if err != nil {
		return err
	}
	if reply.Error != nil {
		return fmt.Errorf("a call fails: %s", shown(reply.Error))
	}
	l.calls.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notes = append(l.notes, n)
	return nil
}

// more waits until n more calls have returned, or until one failed.
func (l *load) more(n int64) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for want := l.calls.Load() + n; l.calls.Load() < want && !l.over.Load(); {
		select {
		case <-tick.C:
		case <-late:
			return fmt.Errorf("there are %d calls in %v, not %d more", l.calls.Load(), patience, n)
		}
	}
	return nil
}

// end ends the load, and checks that each message ran once.
func (l *load) end(all servers) error {
	l.over.Store(true)
	l.all.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.notes {
		if ran := all.ran(n); len(ran) != 1 {
			return errors.Join(l.err, fmt.Errorf("a call ran at %v, want once", ran))
		}
	}
	return l.err
}
