package host

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/phase"
)

// Executor says where the methods of a server run.
type Executor string

// The executors.
const (
	// Pool runs as many messages at once as there are workers, each on its own goroutine.
	Pool Executor = "pool"
	// Blocking runs one message at a time, in the order of arrival, on the goroutine that runs the
	// server.
	Blocking Executor = "blocking"
)

// dispatcher returns the dispatcher of a server. For the executor Blocking it also returns the loop
// that runs the methods; otherwise nil.
func (h *Host) dispatcher(c *ServerConfig, table *dispatch.Table, p *phase.Machine) (*dispatch.Dispatcher, runLoop) {
	config := dispatch.Config{
		Name: c.Target.Server, Table: table, Limits: c.Limits, Phase: p, Log: h.config.Log,
		Interceptors: h.config.Interceptors, Describe: h.config.Describe, Discreet: h.config.Trust.Hidden().Failures,
	}
	if test := h.config.Test; test != nil {
		test.Starts(p)
		config.OnAccept = func(r *dispatch.Request) { test.Accepted(c.Target, r) }
	}
	var loop runLoop
	switch {
	case c.Execute != nil:
		config.Execute = func(_ context.Context, run func()) { c.Execute(run) }
	case c.Executor == Blocking:
		loop = make(runLoop)
		config.Execute, config.Limits.Workers = loop.execute, 1
	}
	return dispatch.New(config), loop
}

// runLoop passes functions to the goroutine that calls work, which runs them one by one.
type runLoop chan func()

func (l runLoop) execute(ctx context.Context, run func()) {
	select {
	case l <- run:
	case <-ctx.Done():
	}
}

// work runs functions until stopped is closed. If a function ends the goroutine (runtime.Goexit), a
// new goroutine runs the rest.
func (l runLoop) work(stopped <-chan struct{}) {
	returned := false
	defer func() {
		if !returned {
			go l.work(stopped)
		}
	}()
	l.runAll(stopped)
	returned = true
}

func (l runLoop) runAll(stopped <-chan struct{}) {
	for {
		select {
		case run := <-l:
			run()
		case <-stopped:
			return
		}
	}
}
