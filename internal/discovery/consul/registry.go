// Package consul is a registry that stores instances in HashiCorp Consul.
//
// A process registers one service for each instance, named after exchange and topic, and one
// service for itself with a TTL check. The process keeps that check passing by regular reports,
// called beats. The checks of the instances are aliases of it, so a process sends one beat, however
// many topics it serves. The name of the process's service is the name of one of its topics'
// services plus "--process". Everything else is in the services' metadata, under keys that begin
// with "rpc-".
//
// ACL policies apply to the names of services, so the name decides to which topic an instance
// belongs. A service whose metadata contradicts its name is skipped, and never counts for another
// topic.
//
// For operators: maintenance mode of an instance's service, or of the node, drains the instance:
// messages for any server of the topic go to other servers until maintenance ends. Maintenance of
// the process's service makes all its instances disappear.
//
// An agent allows all processes of a host together 200 connections
// (limits.http_max_conns_per_client). A process keeps at most four for its registrations and for
// requests that are answered at once, and one for each of the first 32 topics that it watches. All
// other topics share two.
package consul

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/internal/connect"
	"github.com/oslorpc/oslorpc/internal/lograte"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Registry is a registry in Consul. It is safe for concurrent use.
type Registry struct {
	client    *client
	publisher *publisher
	topics    *topics
	native    *connect.Native // nil without Connect
	log       *slog.Logger

	mu sync.Mutex
	// broken has the services that the last List found but could not use, by name and by id.
	broken map[string]map[string]error
}

// String names the registry in errors.
func (r *Registry) String() string { return "Consul at " + r.client.addr }

// Expiry implements [discovery.Expirer].
func (r *Registry) Expiry() time.Duration { return r.publisher.ttl }

// Open opens consul://HOST:PORT?PARAMETERS, by default the agent at 127.0.0.1:8500. It does not
// connect yet. With several agents, consul://HOST:PORT,HOST:PORT, it uses the first that it can
// connect to until that one becomes unreachable. Registrations stay at the agent that took the
// first of them until all are withdrawn. The parameters are
//
//   - dc: the data center to watch and list, by default the agent's; registrations always go to
//     the agent's data center
//   - consul-tls: "true" to use TLS, which all other consul- parameters but consul-token-file imply
//   - consul-ca, consul-cert, consul-key: files with the authorities to trust, with the client
//     certificate, and with its private key; they are read for each connection, so they can be
//     replaced while the program runs
//   - consul-server-name: the name that the agent's certificate must have, by default the host
//   - consul-insecure: "true" to accept any certificate
//   - consul-token-file: a file with the ACL token, read for each request
//   - connect: "native" to take certificates from the agent, and to ask it which services may send:
//     see package connect
//   - service: the Consul service that this process counts as when it sends; see connect
//   - intentions: "enforce", the default, or "dry-run" to log what intentions would deny
//   - ttl: how long a process counts as alive after its last beat, by default 15s
//
// For tokens and TLS, the environment variables of Consul's clients apply where the URL says
// nothing. The exception is CONSUL_HTTP_SSL_VERIFY: only the URL can turn verification off. The
// registry logs events that no caller learns of, such as the repair of a registration.
func Open(text string, log *slog.Logger) (*Registry, error) {
	s, err := parseURL(text)
	if err != nil {
		return nil, err
	}
	return newRegistry(s, log)
}

// newRegistry is Open for a parsed URL.
func newRegistry(s settings, log *slog.Logger) (*Registry, error) {
	log = lograte.New(log) // a flapping agent, or another program that may write services, can cause many lines
	s.tls.warn(log, strings.Join(s.addrs, ","))
	c, err := newClient(s)
	if err != nil {
		return nil, err
	}
	return &Registry{
		client: c, publisher: newPublisher(c, s.ttl, log), topics: newTopics(c, log), native: s.native.open(c, log), log: log,
		broken: map[string]map[string]error{},
	}, nil
}

// Publish implements [registry.Registry]. It returns when the agent has accepted the instances;
// other processes see them moments later. If it fails, the previous instances stay published and
// are kept alive. Changes made before the failure are undone, or expire if Consul is unreachable.
func (r *Registry) Publish(ctx context.Context, instances []rpc.Instance) error {
	if r.native != nil {
		if err := r.native.Serve(ctx, instances); err != nil {
			return err
		}
	}
	return r.publisher.publish(ctx, instances)
}

// Lapses implements [registry.Lapser]. The registration lapses if Consul loses it; if Consul gets
// no beat for longer than the TTL, for example because the machine was suspended, which this
// process determines by its clock; or if other processes do not see the registration for another
// reason, for example because the cluster lost contact with the host.
func (r *Registry) Lapses(notify func(reason string)) {
	r.publisher.lapsed = func(reason string) {
		r.publisher.told.Add(1)
		notify(reason)
	}
}

// Elsewhere implements [registry.Elsewhere]. It returns true for any dc parameter, since the
// agent's own data center is not known.
func (r *Registry) Elsewhere() bool { return r.client.dc != "" }

// Watch implements [registry.Registry]. All watches of a topic share one query.
func (r *Registry) Watch(topic registry.Topic, notify func(registry.Update)) (stop func()) {
	w := registry.StartWatch(notify)
	leave := r.topics.join(topic, w)
	return func() {
		leave()
		w.Stop()
	}
}

// Check implements [registry.Checker].
func (r *Registry) Check(i rpc.Instance) error {
	_, err := instanceService(i, ids{}, "")
	return err
}

// Close implements [registry.Registry]. If Consul is unreachable, the registrations expire after
// the TTL.
func (r *Registry) Close(ctx context.Context) error {
	r.topics.close()
	if r.native != nil {
		r.native.Close()
	}
	err := r.publisher.close(ctx)
	r.client.close()
	return err
}
