package route

import (
	"sync"
	"sync/atomic"
)

// maxCached bounds each cache of a view. A program normally uses a few versions of a few
// namespaces. A program that computes them must not make a cache grow without end.
const maxCached = 64

// cache keeps what was computed from a view, by key. Each addition replaces the whole map, so that
// reading needs no lock. Its zero value is empty.
type cache[K comparable, V any] struct {
	known    atomic.Pointer[map[K]*V]
	learning sync.Mutex
}

// find returns the value for a key, or nil if there is none.
func (c *cache[K, V]) find(key K) *V {
	if known := c.known.Load(); known != nil {
		return (*known)[key]
	}
	return nil
}

// learn computes and stores the value for a key that find does not know. If many goroutines need
// the same value at once, only one of them computes it.
func (c *cache[K, V]) learn(key K, compute func(K) *V) *V {
	c.learning.Lock()
	defer c.learning.Unlock()
	known := map[K]*V{}
	if k := c.known.Load(); k != nil {
		known = *k
	}
	if value, ok := known[key]; ok {
		return value
	}
	value := compute(key)
	more := make(map[K]*V, len(known)+1)
	for k, v := range known {
		if len(more) < maxCached-1 { // drop a random key, so that a frequent key stays
			more[k] = v
		}
	}
	more[key] = value
	c.known.Store(&more)
	return value
}
