package main

import (
	"context"
	"errors"
	"sync"

	"github.com/oslorpc/oslorpc/examples/nova-rpc/novarpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	_ "github.com/oslorpc/oslorpc/pkg/registry/consul" // for consul:// URLs
)

// service makes a program serve a topic, like Nova's class of that name.
type service struct {
	transport *oslorpc.Transport
	rpc       *novarpc.RPC
	conn      *novarpc.Connection
}

// startService starts serving a topic under a host name, with the manager that newManager returns,
// which may send messages.
func startService(ctx context.Context, url, topic, host string, newManager func(*novarpc.RPC) any) (*service, error) {
	transport, err := oslorpc.Open(url)
	if err != nil {
		return nil, err
	}
	rpc := novarpc.New(transport)
	s := &service{transport: transport, rpc: rpc, conn: rpc.CreateConnection(host)}
	manager := newManager(rpc)
	err = errors.Join(
		s.conn.CreateConsumer(novarpc.Topic(topic), manager, false),             // messages for one of the hosts on the topic
		s.conn.CreateConsumer(novarpc.QueueGetFor(topic, host), manager, false), // messages for this host
		s.conn.CreateConsumer(novarpc.Topic(topic), manager, true),              // messages for all hosts on the topic
	)
	if err == nil {
		err = s.conn.ConsumeInThread(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	return s, nil
}

// close ends the service. It finishes the accepted messages, unless ctx ends first.
func (s *service) close(ctx context.Context) error {
	return errors.Join(s.conn.Close(ctx), s.transport.Close())
}

// closeAll closes services concurrently, since each takes a moment to leave. Messages that they do
// not finish soon are canceled.
func closeAll(ctx context.Context, services ...*service) error {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	failures := make([]error, len(services))
	var closing sync.WaitGroup
	for i, s := range services {
		closing.Go(func() { failures[i] = s.close(ctx) })
	}
	closing.Wait()
	return errors.Join(failures...)
}
