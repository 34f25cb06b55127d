package service

import (
	"runtime"
	"sync/atomic"
	"time"
)

// workers are goroutines that run messages of sessions. A worker that has run a message waits for
// another one, because growing a new stack takes a tenth as long as a message. No worker waits for
// long, or while no session has a stream.
type workers struct {
	work chan *entry
	over chan struct{}
	idle atomic.Int64
}

// idleWorkerTime is how long a worker waits for a message.
const idleWorkerTime = 2 * time.Second

// idleWorkers is how many workers of a process wait for messages. Each takes some KiB.
var idleWorkers = int64(4 * runtime.GOMAXPROCS(0))

func newWorkers() *workers {
	return &workers{work: make(chan *entry), over: make(chan struct{})}
}

// run runs a message on a goroutine that does nothing else meanwhile.
func (w *workers) run(e *entry) {
	select {
	case w.work <- e:
	default:
		go w.serve(e)
	}
}

// serve runs a message, and others after it. It does not return if a method ends this goroutine.
func (w *workers) serve(e *entry) {
	var late *time.Timer
	for e != nil {
		e.run()
		e, late = w.next(late)
	}
}

// next waits for a message, with an earlier timer if there is one. It returns nil if none comes.
func (w *workers) next(late *time.Timer) (e *entry, again *time.Timer) {
	defer w.idle.Add(-1)
	if w.idle.Add(1) > idleWorkers {
		return nil, late
	}
	if late == nil {
		late = time.NewTimer(idleWorkerTime)
	} else {
		late.Reset(idleWorkerTime)
	}
	select {
	case e = <-w.work:
	case <-w.over:
	case <-late.C:
	}
	return e, late
}
