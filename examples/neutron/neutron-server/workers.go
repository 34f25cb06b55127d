package main

import (
	"context"
	"errors"
	"sync"

	"github.com/oslorpc/oslorpc/examples/neutron/neutronrpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// startWorkers starts RPC workers. Each has its own transport, and so its own listener, and servers
// on all topics, under the name of the host. Neutron's workers are processes; here they share
// memory. The first one also sends to the agents.
func startWorkers(ctx context.Context, p *plugin, o options) (transports []*oslorpc.Transport, err error) {
	for n := range o.workers {
		t, err := neutronrpc.Open(o.transport, oslorpc.WithErrorType[*badRequest]("BadRequest"))
		if err != nil {
			return transports, err
		}
		transports = append(transports, t)
		if n == 0 {
			p.notifiers = newNotifiers(t, p, o.notifyTimeout)
		}
		if err := serve(ctx, t, p, o.host); err != nil {
			return transports, err
		}
	}
	return transports, nil
}

// serve starts the servers of a worker. The endpoints of a topic share the default namespace: a
// message goes to the first one that implements its version and has the method.
func serve(ctx context.Context, t *oslorpc.Transport, p *plugin, host string) error {
	topics := map[string][]oslorpc.Endpoint{
		neutronrpc.PluginTopic: {
			neutronrpc.DhcpRPCCallback(p), neutronrpc.DVRServerRPCCallback(p),
			neutronrpc.MetadataRPCCallback(p), neutronrpc.ResourcesPullRPCCallback(p),
		},
		neutronrpc.ReportsTopic:        {neutronrpc.AgentExtRPCCallback(p)},
		neutronrpc.L3PluginTopic:       {neutronrpc.L3RPCCallback(p)},
		neutronrpc.MeteringPluginTopic: {neutronrpc.MeteringRPCCallbacks(p)},
		apiTopic:                       {apiEndpoint(p)},
	}
	for topic, endpoints := range topics {
		s := t.Server(oslorpc.Target{Topic: topic, Server: host})
		s.Add(endpoints...)
		if err := s.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// closeAll stops the workers concurrently, when they have finished the accepted messages.
func closeAll(transports []*oslorpc.Transport) error {
	failures := make([]error, len(transports))
	var closing sync.WaitGroup
	for i, t := range transports {
		closing.Go(func() { failures[i] = t.Close() })
	}
	closing.Wait()
	return errors.Join(failures...)
}
