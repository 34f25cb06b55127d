package service

import (
	"runtime"
	"sync/atomic"
)

// workers are goroutines that run messages of sessions. One that has run a message waits for
// another: its stack has grown, which takes a tenth as long as the message. None waits while
// no session has a stream.
type workers struct {
	work chan *entry
	over chan struct{}
	idle atomic.Int64
}

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
	for e != nil {
		e.run()
		e = w.next()
	}
}

// next waits for a message; nil for none.
func (w *workers) next() (e *entry) {
	if w.idle.Add(1) <= idleWorkers {
		select {
		case e = <-w.work:
		case <-w.over:
		}
	}
	w.idle.Add(-1)
	return e
}
