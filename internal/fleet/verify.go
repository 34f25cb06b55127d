package fleet

import (
	"context"
	"sync"
	"time"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"

	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
)

const (
	// verifyTime is how long an instance has to say whether it is there.
	verifyTime = 2 * time.Second
	// verifying bounds how many instances of a topic are asked at a time.
	verifying = 16
)

// vanished returns the instances that vanished at a time and whose connections are up: they stop,
// or the registry lost them.
func (ms members) vanished(at time.Time) []*route.Entry {
	var list []*route.Entry
	for _, m := range ms {
		if m.since.Equal(at) && !m.lost && !m.left && m.entry.ID != "" && m.entry.Link.Health().Connected() {
			list = append(list, m.entry)
		}
	}
	return list
}

// verify asks instances whether they are there. One that stops must not count until its connection
// ends, which may be long after: its process may have other servers, or something to finish. The
// lock is held.
func (t *Topic) verify(list []*route.Entry) {
	if len(list) == 0 {
		return
	}
	t.asking.Go(func() {
		var asked sync.WaitGroup
		slots := make(chan struct{}, verifying)
		for _, e := range list {
			slots <- struct{}{}
			asked.Go(func() {
				defer func() { <-slots }()
				if rpcstatus.Gone(ask(t.life, e)) {
					t.Gone(e)
				}
			})
		}
		asked.Wait()
	})
}

// ask returns what an instance says when it is asked whether it is there.
func ask(ctx context.Context, e *route.Entry) error {
	ctx, cancel := context.WithTimeout(ctx, verifyTime)
	defer cancel()
	p := Peer(e)
	if err := p.Enter(ctx, verifyTime); err != nil {
		return err
	}
	defer p.Release()
	conn, err := p.Conn() //nolint:contextcheck // The connection outlives the question.
	if err != nil {
		return err
	}
	if _, err := pb.NewIntrospectionServiceClient(conn).Ping(ctx, &pb.PingRequest{InstanceId: e.ID}); err != nil {
		return rpcstatus.Evidence{Sent: true, Contract: true}.Decode(err)
	}
	return nil
}
