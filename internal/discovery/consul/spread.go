package consul

import (
	"errors"
	"sync"
	"sync/atomic"
)

// lanes is how many requests run at a time when many services change. With four, one is sent while
// Consul handles another, and they take few of the connections that an agent allows a host.
const lanes = 4

// errNotBegun is the result of items that were not started because another one failed.
var errNotBegun = errors.New("not begun")

// spread calls do for all items, a few at a time. After one fails it starts no more. It returns the
// result of each, and the error of the first that failed.
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
