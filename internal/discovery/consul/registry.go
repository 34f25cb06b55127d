// Package consul is the registry in HashiCorp Consul.
//
// A process has one service for each instance, named after exchange and topic, and one service with
// a TTL check that it keeps passing. The checks of the instances follow the latter, so a process
// beats once, however many topics it serves. The name of the process's service is the name of the
// services of one of its topics, and "--process". What names cannot hold is in the services'
// metadata, under the keys that begin with "rpc-".
//
// ACL policies cover the names of services. So a topic has the instances whose services have its
// name. Metadata that contradicts the name makes a service useless, but puts it on no other topic.
//
// For operators: maintenance mode of an instance's service, or of the node, drains: messages for
// any server go elsewhere, and it lasts until it is lifted. Maintenance of the process's service
// makes all its instances vanish.
//
// An agent allows all processes of a host together 200 connections
// (limits.http_max_conns_per_client). A process keeps at most four for its registrations and for
// what is answered at once, and one for each of the first 32 topics that it watches; any others
// share two.
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

// Registry is a handle onto the registry in Consul.
type Registry struct {
	client    *client
	publisher *publisher
	topics    *topics
	native    *connect.Native // nil without Connect
	log       *slog.Logger

	mu sync.Mutex
	// broken has, by their names, the services that the last List found and could not use.
	broken map[string]map[string]error
}

// String names the registry in errors.
func (r *Registry) String() string { return "Consul at " + r.client.addr }

// Expiry implements [discovery.Expirer].
func (r *Registry) Expiry() time.Duration { return r.publisher.ttl }

// Open opens consul://HOST:PORT?PARAMETERS, by default the agent at 127.0.0.1:8500. It does not
// connect yet. Of several agents, consul://HOST:PORT,HOST:PORT, it asks the first that it can
// connect to, and stays with it until it cannot; registrations stay with the agent that took the
// first of them until all are withdrawn. The parameters are
//
//   - dc: the data center to watch and list, by default the agent's; what is published is in the
//     agent's in any case
//   - consul-tls: "true" to use TLS, which the following parameters turn on, too
//   - consul-ca, consul-cert, consul-key: files with the authorities to trust, with a certificate
//     to show to the agent, and with its private key, read for each connection, so that they can be
//     replaced while the program runs
//   - consul-server-name: the name that the agent's certificate must have, by default the host
//   - consul-insecure: "true" to accept any certificate
//   - consul-token-file: a file with the ACL token, read for each request
//   - connect: "native" to take certificates from the agent, and to ask it which services may send:
//     see package connect
//   - service: the service of Consul that the process is then when it sends
//   - ttl: how long a process counts as alive without a sign of it, by default 15s
//
// What the URL does not say, it takes from the environment variables that Consul's clients take for
// tokens and TLS, except CONSUL_HTTP_SSL_VERIFY: only the URL can turn verification off. It logs to
// log what no caller gets to know, such as that what was published had to be repaired.
func Open(text string, log *slog.Logger) (*Registry, error) {
	s, err := parseURL(text)
	if err != nil {
		return nil, err
	}
	return newRegistry(s, log)
}

// newRegistry is Open for what a URL says.
func newRegistry(s settings, log *slog.Logger) (*Registry, error) {
	log = lograte.New(log) // an agent that comes and goes, or a program with a token for a topic, causes the lines
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

// Publish implements [registry.Registry]. It returns when the agent has taken the instances;
// others see them moments later. If it fails, what was published before remains so and is kept
// alive; what it did until then is undone, or expires if Consul cannot be reached.
func (r *Registry) Publish(ctx context.Context, instances []rpc.Instance) error {
	if r.native != nil {
		if err := r.native.Serve(ctx, instances); err != nil {
			return err
		}
	}
	return r.publisher.publish(ctx, instances)
}

// Lapses implements [registry.Lapser]. The registration lapses when Consul loses it; when it gets
// no sign of life for longer than the TTL, such as because the machine was suspended, which is
// judged by the clock, since Consul does not tell; and when others do not see it for whatever
// reason, such as that the cluster lost sight of the host.
func (r *Registry) Lapses(notify func(reason string)) {
	r.publisher.lapsed = func(reason string) {
		r.publisher.told.Add(1)
		notify(reason)
	}
}

// Elsewhere implements [registry.Elsewhere]. Which data center the agent is in, it need not tell.
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

// Close implements [registry.Registry]. If Consul cannot be reached, what was published expires
// after the TTL.
func (r *Registry) Close(ctx context.Context) error {
	r.topics.close()
	if r.native != nil {
		r.native.Close()
	}
	err := r.publisher.close(ctx)
	r.client.close()
	return err
}
