package service

import (
	"runtime"
	"slices"
	"sync"
	"time"
)

// workers are goroutines that run the messages of sessions. They keep their goroutines, because a
// new goroutine has to grow its stack, which takes a tenth as long as a message.
//
// A message never waits for the method of another one: while messages wait, a worker that runs none
// has been woken or started, and takes the next message as soon as a processor is free. A worker
// that has run a message takes the next one itself, so messages that arrive together do not need a
// wake-up each.
type workers struct {
	mu          sync.Mutex // guards what follows
	first, last *entry     // the messages that wait, in their order
	coming      bool       // a worker was woken or started, and has not looked for a message yet
	// idle has a channel for each idle worker: true wakes it, and false ends it.
	idle []chan bool
	// unused is how many workers have been idle since the last check. A check ends them.
	unused int
	check  *time.Timer // nil while no worker was idle
	over   bool        // no session has a stream
}

// idleWorkerTime is how long a worker stays idle: between this time and twice this time.
const idleWorkerTime = time.Second

// idleWorkers is how many workers of a process may be idle. Each takes some KiB.
var idleWorkers = 4 * runtime.GOMAXPROCS(0)

// run runs a message on a goroutine that runs no other message meanwhile.
func (w *workers) run(e *entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first == nil {
		w.first = e
	} else {
		w.last.next = e
	}
	w.last = e
	w.wake()
}

// wake makes an idle worker or a new one look for a message, unless one is about to. The lock is
// held.
func (w *workers) wake() {
	if w.coming {
		return
	}
	w.coming = true
	n := len(w.idle) - 1
	if n < 0 {
		go w.serve()
		return
	}
	w.idle[n] <- true
	w.idle = w.idle[:n]
	w.unused = min(w.unused, n)
}

// serve runs messages. It does not return if a method ends this goroutine.
func (w *workers) serve() {
	woken := make(chan bool, 1)
	for e := w.next(woken, true); e != nil; e = w.next(woken, false) {
		e.run()
	}
}

// next returns the next message, and waits for one if the worker may be idle. It returns nil if the
// worker must end. Came is true for a worker that was started or woken.
func (w *workers) next(woken chan bool, came bool) *entry {
	for {
		w.mu.Lock()
		if came {
			w.coming = false
		}
		e := w.pop()
		idle := e == nil && w.rest(woken)
		w.mu.Unlock()
		if !idle {
			return e
		}
		if came = <-woken; !came {
			return nil
		}
	}
}

// pop returns the next message, or nil if none waits. If more messages wait, another worker comes.
// The lock is held.
func (w *workers) pop() *entry {
	e := w.first
	if e == nil {
		return nil
	}
	if w.first, e.next = e.next, nil; w.first == nil {
		w.last = nil
	} else {
		w.wake()
	}
	return e
}

// rest makes a worker idle. It returns false if no more workers may be idle. The lock is held.
func (w *workers) rest(woken chan bool) bool {
	if w.over || len(w.idle) >= idleWorkers {
		return false
	}
	w.idle = append(w.idle, woken)
	if w.check == nil {
		w.unused, w.check = 0, time.AfterFunc(idleWorkerTime, w.trim)
	}
	return true
}

// trim ends the workers that were idle since the last check. They are the first ones in the list,
// because the last one is always woken first.
func (w *workers) trim() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over { // end came first, and ended them
		return
	}
	w.dismiss(w.unused)
	if w.unused = len(w.idle); w.unused > 0 {
		w.check.Reset(idleWorkerTime)
	} else {
		w.check = nil
	}
}

// dismiss ends the first n idle workers. The lock is held.
func (w *workers) dismiss(n int) {
	for _, woken := range w.idle[:n] {
		woken <- false
	}
	w.idle = slices.Delete(w.idle, 0, n)
}

// end ends the idle workers. The others end when no message waits.
func (w *workers) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	w.dismiss(len(w.idle))
	if w.check != nil {
		w.check.Stop()
	}
}
