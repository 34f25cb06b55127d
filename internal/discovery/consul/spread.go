package consul

import (
	"errors"
	"sync"
	"sync/atomic"
)

// lanes is how many requests run at a time when many services change. Four keep Consul busy, and
// use few of the connections that an agent allows a host.
const lanes = 4

// errNotBegun is the result of items for which do was not called, because another item had failed.
var errNotBegun = errors.New("not begun")

// spread calls do for all items, up to lanes at a time. After the first failure, it starts no more
// calls. It returns the result for each item, and the error of the first failure.
func spread[T any](items []T, do func(T) error) (results []error, err error) {
	results = make([]error, len(items))
	var (
		next   atomic.Int64
		failed atomic.Pointer[error]
		ended  sync.WaitGroup
	)
	for range min(lanes, len(items)) {
		ended.Go(func() {
			for n := int(next.Add(1)) - 1; n < len(items); n = int(next.Add(1)) - 1 {
				if failed.Load() != nil {
					results[n] = errNotBegun
				} else if results[n] = do(items[n]); results[n] != nil {
					failed.CompareAndSwap(nil, &results[n])
				}
			}
		})
	}
	ended.Wait()
	if first := failed.Load(); first != nil {
		err = *first
	}
	return results, err
}
