package consul

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// maxReads bounds how many topics List reads at the same time.
const maxReads = 8

// List implements [registry.Registry]. It reads topic by topic, so the list is not a snapshot of
// one moment. It logs and skips a topic that has more services than can be read.
func (r *Registry) List(ctx context.Context) ([]rpc.Instance, error) {
	names, err := r.client.names(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lists := make([][]rpc.Instance, len(names))
	failures := make(chan error, len(names))
	slots := make(chan struct{}, maxReads)
	var readers sync.WaitGroup
	for n, name := range names {
		slots <- struct{}{}
		readers.Go(func() {
			defer func() { <-slots }()
			list, err := r.read(ctx, name)
			if err != nil {
				failures <- err
				cancel()
			}
			lists[n] = list
		})
	}
	readers.Wait()
	close(failures)
	if err, failed := <-failures; failed {
		return nil, err
	}
	return slices.Concat(lists...), nil
}

// read returns the instances among the services of a name.
func (r *Registry) read(ctx context.Context, name string) ([]rpc.Instance, error) {
	entries, _, err := r.client.services(ctx, name, false)
	if errors.Is(err, errTooLarge) {
		// Otherwise a program with permission to write one topic could make List fail for all.
		r.log.Error("leaving out a topic, since Consul has too many services of it to read", "name", name, "error", err)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list, broken := instances(entries, name)
	r.mu.Lock()
	before := r.broken[name]
	if len(broken) > 0 {
		r.broken[name] = broken
	} else {
		delete(r.broken, name)
	}
	r.mu.Unlock()
	warnBroken(r.log, name, broken, before)
	return list, nil
}
