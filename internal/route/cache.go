package route

import (
	"sync"
	"sync/atomic"
)

// maxCached bounds each cache of a view. A program uses a few versions of a few namespaces; one
// that computes them must not make a cache grow.
const maxCached = 64

// cache has what was computed from a view for each key that was asked for. It is copied to add to
// it, so that reading needs no lock. Its zero value is empty.
type cache[K comparable, V any] struct {
	known    atomic.Pointer[map[K]*V]
	learning sync.Mutex
}

// find returns what is known for a key, nil if nothing is.
func (c *cache[K, V]) find(key K) *V {
	if known := c.known.Load(); known != nil {
		return (*known)[key]
	}
	return nil
}

// learn is for what find does not find: it computes it. Of the callers that all meet a new view at
// once, one does the work.
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
		if len(more) < maxCached-1 { // a random one makes room, so that a key that comes often stays
			more[k] = v
		}
	}
	more[key] = value
	c.known.Store(&more)
	return value
}
