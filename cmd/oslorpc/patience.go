package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// patience is how long a person waits before wondering why.
const patience = 2 * time.Second

// tellWhyItWaits tells a person when messages wait because nobody is there to take them, or nobody can be found: a mistyped topic
// looks the same as a server that starts soon. Call stop when the messages are sent.
func (m *message) tellWhyItWaits(ctx context.Context, t *oslorpc.Transport) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var telling sync.WaitGroup
	telling.Go(func() {
		late := time.NewTimer(patience)
		defer late.Stop()
		select {
		case <-ctx.Done():
		case <-late.C:
			m.tellWhy(ctx, t)
		}
	})
	return func() {
		cancel()
		telling.Wait()
	}
}

func (m *message) tellWhy(ctx context.Context, t *oslorpc.Transport) {
	meant := &selection{exchange: m.target.Exchange, topic: m.target.Topic, server: m.target.Server}
	if meant.exchange == "" {
		meant.exchange = t.DefaultExchange()
	}
	list, err := t.Instances(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		m.program.notef("waiting: %v", err)
	case !slices.ContainsFunc(list, meant.has):
		m.program.notef("waiting: %s is there; with --fail-fast it would not wait", meant.nobody())
	}
}
