package oslorpc

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/phase"
)

// The executors that [WithExecutor] knows.
const (
	// ExecutorPool, the default, runs up to [WithWorkers] messages at once, each on a goroutine of its own.
	ExecutorPool = "pool"
	// ExecutorBlocking runs one message at a time, in the order of arrival, on the goroutine that calls [Server.Run], whatever
	// [WithWorkers] says. Such a server cannot be started with [Server.Start], which leaves it no goroutine.
	ExecutorBlocking = "blocking"
)

// WithExecutor sets by name where methods run: [ExecutorPool] or [ExecutorBlocking]. A server with an unknown name does not start;
// the error is of kind [Invalid].
func WithExecutor(name string) ServerOption {
	return serverOption(func(s *Server) { s.executor, s.custom = name, nil })
}

// WithExecutorFunc has execute decide where methods run. It must call each function that it is given, once, on any
// goroutine, and should not wait for that. The server's bounds hold: execute has at most [WithWorkers] functions at a time, and the
// others wait in the server's queue. It is called concurrently.
func WithExecutorFunc(execute func(run func())) ServerOption {
	return serverOption(func(s *Server) { s.executor, s.custom = "", execute })
}

// dispatcher returns what runs the server's messages, on the executor that its options ask for. Turns is
// the goroutine of a blocking server, else nil.
func (s *Server) dispatcher(table *dispatch.Table, p *phase.Machine) (d *dispatch.Dispatcher, turns turns) {
	c := dispatch.Config{
		Name: s.target.Server, Table: table, Limits: s.bounds(), Phase: p, Log: s.transport.config.log,
		Interceptors: s.transport.config.interceptors, Describe: s.transport.config.describe(), OnAccept: s.transport.config.watch(s.target, p),
	}
	switch {
	case s.custom != nil:
		c.Execute = func(_ context.Context, f func()) { s.custom(f) }
	case s.executor == ExecutorBlocking:
		turns = newTurns()
		c.Execute = turns.execute
	}
	return dispatch.New(c), turns
}

// checkExecutor reports what is wrong with the executor; works is true if the caller lends its goroutine.
func (s *Server) checkExecutor(works bool) error {
	switch {
	case s.custom != nil, s.executor == ExecutorPool:
		return nil
	case s.executor != ExecutorBlocking:
		return invalidUse("there is no executor %q: take %q or %q, or write one for WithExecutorFunc", s.executor, ExecutorPool, ExecutorBlocking)
	case !works:
		return invalidUse("a server with the executor %q runs its methods on the goroutine that calls Run: call Run instead of Start", ExecutorBlocking)
	default:
		return nil
	}
}

// bounds returns the limits of a server, as its executor changes them.
func (s *Server) bounds() dispatch.Limits {
	limits := s.limits
	if s.executor == ExecutorBlocking {
		limits.Workers = 1
	}
	return limits
}

// turns hands functions to the goroutine that runs them one by one.
type turns chan func()

func newTurns() turns { return make(turns) }

func (t turns) execute(ctx context.Context, run func()) {
	select {
	case t <- run:
	case <-ctx.Done():
	}
}

// work runs functions until stopped is closed. If one ends the goroutine, another goroutine runs
// the rest.
func (t turns) work(stopped <-chan struct{}) {
	returned := false
	defer func() {
		if !returned {
			go t.work(stopped)
		}
	}()
	t.takeAll(stopped)
	returned = true
}

func (t turns) takeAll(stopped <-chan struct{}) {
	for {
		select {
		case run := <-t:
			run()
		case <-stopped:
			return
		}
	}
}
