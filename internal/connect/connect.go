// Package connect makes a process a native member of Consul's service mesh, Connect. The agent
// provides certificates and the authorities to trust, and decides which services may send to which.
//
// As a client, a process has the certificate of the service that the program names. As a server, it
// has a certificate for each topic that it serves, because each topic is a separate service in
// Consul. A client asks for the certificate of the topic that it sends to, so it has a separate
// connection for each topic of a process.
//
// A connection proves the sender's service, and a message names its topic, so each message is
// checked against Consul's intentions before it is accepted: see [Native.Interceptor].
package connect

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/oslorpc/oslorpc/internal/gate"
	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/internal/lograte"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// Agent is the interface to the Consul agent. Roots and Leaf also return an index for the next
// query. With an index that is not 0, they wait until there is a newer result, as Consul's blocking
// queries do. An error of kind rpc.Invalid means that the agent refuses the query until an operator
// corrects something.
type Agent interface {
	// Roots returns the authorities to trust.
	Roots(ctx context.Context, index uint64) (Roots, uint64, error)
	// Leaf returns the certificate of a service.
	Leaf(ctx context.Context, service string, index uint64) (Leaf, uint64, error)
	// Authorize returns whether the intentions allow the caller to send to a service, and the
	// agent's reason. Uri is the SPIFFE ID in the caller's certificate, and serial its serial
	// number.
	Authorize(ctx context.Context, service, uri, serial string) (allowed bool, reason string, err error)
}

// Roots are the authorities of a mesh.
type Roots struct {
	// TrustDomain is the host in all SPIFFE IDs of the mesh.
	TrustDomain string
	// Certificates are in PEM.
	Certificates []string
}

// Leaf is a certificate, followed by intermediate ones if any, and its private key, in PEM.
type Leaf struct{ Certificate, Key string }

// Config is the configuration of a [Native]. Agent, Service, ServiceName and Log are required.
type Config struct {
	Agent Agent
	// Service is the service of the process as a client.
	Service string
	// Datacenter is the data center of the servers that the process sends to, empty for its own.
	Datacenter string
	// ServiceName returns the name of the service of a topic.
	ServiceName func(registry.Topic) string
	// DryRun accepts messages even if intentions deny them, and logs such messages.
	DryRun bool
	// Log gets the audit log, in the group "audit", and events about certificates.
	Log *slog.Logger
}

// Native is the membership of a process in the mesh. It is safe for concurrent use.
type Native struct {
	config   Config
	verdicts *verdicts
	audit    *gate.Audit
	material atomic.Pointer[trust.Material]

	end     context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	authors *authorities       // nil until the agent has returned them
	own     *tls.Certificate   // of config.Service; nil until the agent has returned it
	served  map[string]*served // by the names of their services
	topics  []registry.Topic   // the served topics
	faults  map[string]error   // the errors of the last queries that failed, by query
	changed chan struct{}      // closed at the next change of the fields above
	said    map[string]string  // the texts of the faults that were logged, by query
}

// served is the certificate of a served topic.
type served struct {
	leaf        Leaf
	certificate *tls.Certificate
}

var (
	_ trust.Source    = (*Native)(nil)
	_ identity.Naming = (*Native)(nil)
)

// Of returns the mesh membership that a registry has set up, or nil if it has none.
func Of(r registry.Registry) *Native {
	if native, is := r.(interface{ Native() *Native }); is {
		return native.Native()
	}
	return nil
}

// New returns a membership. It queries the agent in the background until Close.
func New(c Config) *Native {
	audit := gate.NewAudit(c.Log)
	c.Log = lograte.New(c.Log)
	n := &Native{
		config: c, audit: audit, verdicts: newVerdicts(c.Agent), served: map[string]*served{}, faults: map[string]error{},
		changed: make(chan struct{}), said: map[string]string{},
	}
	var life context.Context
	life, n.end = context.WithCancel(context.Background())
	n.running.Go(func() { n.followRoots(life) })
	n.running.Go(func() { n.followOwn(life) })
	n.running.Go(func() { n.followServed(life) })
	n.running.Go(func() { audit.Follow(life) })
	return n
}

// Close stops the queries to the agent. Certificates that the agent has provided can still be used.
// Close may be called again.
func (n *Native) Close() {
	n.end()
	n.running.Wait()
	n.verdicts.wait()
}

// Material implements [trust.Source].
func (n *Native) Material() *trust.Material { return n.material.Load() }

// Await waits until the agent has provided a certificate and authorities, or until ctx ends. An
// error says why they are missing. If the agent refuses, Await returns an error of kind rpc.Invalid
// at once.
func (n *Native) Await(ctx context.Context) error {
	for n.material.Load() == nil {
		n.mu.Lock()
		changed, fault, refused := n.changed, n.fault(), n.refused()
		n.mu.Unlock()
		switch {
		case n.material.Load() != nil:
			return nil
		case refused != nil:
			return refused
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return cmp.Or(fault, fmt.Errorf("the Consul agent has not given a certificate for service %q yet: %w", n.config.Service, context.Cause(ctx)))
		}
	}
	return nil
}

// CertificateFor returns the certificate for a TLS server name: the name of a topic's service, or a
// name that Connect's proxies use, which begins with it. For an empty name, it returns the
// certificate of the topic if only one is served. In all other cases, it returns the certificate of
// Config.Service, or nil.
func (n *Native) CertificateFor(name string) *tls.Certificate {
	service, _, _ := strings.Cut(name, ".")
	n.mu.Lock()
	defer n.mu.Unlock()
	if s := n.served[service]; s != nil {
		return s.certificate
	}
	if name == "" && len(n.served) == 1 {
		for _, s := range n.served {
			return s.certificate
		}
	}
	return n.own
}

// ServerName implements [identity.Naming].
func (n *Native) ServerName(exchange, topic string) string {
	return n.config.ServiceName(registry.Topic{Exchange: exchange, Name: topic})
}

// Check implements [identity.Rule]. The certificate must belong to the service of the topic.
func (n *Native) Check(s *identity.Server, c *x509.Certificate) error {
	n.mu.Lock()
	own := n.own
	n.mu.Unlock()
	if own == nil {
		return errors.New("cannot be identified: the Consul agent has not given this program a certificate yet")
	}
	want := sibling(own.Leaf, n.config.Datacenter, n.ServerName(s.Exchange, s.Topic))
	if c == nil {
		return fmt.Errorf("must prove %s; it proved nothing", want)
	}
	if id, err := serviceID(c); err != nil {
		return fmt.Errorf("must prove %s; %w", want, err)
	} else if id != want {
		return fmt.Errorf("must prove %s; it proved %s", want, id)
	}
	return nil
}

// Serve sets the served topics to the topics of the instances. It returns when the agent has
// provided a certificate for each of them.
func (n *Native) Serve(ctx context.Context, instances []rpc.Instance) error {
	var topics []registry.Topic
	for _, i := range instances {
		if t := (registry.Topic{Exchange: i.Exchange, Name: i.Topic}); !slices.Contains(topics, t) {
			topics = append(topics, t)
		}
	}
	if len(topics) > 0 {
		if err := n.Await(ctx); err != nil {
			return err
		}
	}
	kept := map[string]*served{}
	for _, t := range topics {
		service := n.config.ServiceName(t)
		n.mu.Lock()
		kept[service] = n.served[service]
		n.mu.Unlock()
		if kept[service] != nil {
			continue
		}
		s, err := n.ask(ctx, service, nil)
		if err != nil {
			return err
		}
		kept[service] = s
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.served, n.topics = kept, topics
	return nil
}

// ask queries the certificate of a served topic. Before is the previous one, or nil; ask returns it
// if the certificate has not changed.
func (n *Native) ask(ctx context.Context, service string, before *served) (*served, error) {
	leaf, _, err := n.config.Agent.Leaf(ctx, service, 0)
	if err != nil || before != nil && before.leaf == leaf {
		return before, err
	}
	certificate, err := leaf.parse()
	if err != nil {
		return nil, fmt.Errorf("the certificate of service %q from the Consul agent: %w", service, err)
	}
	return &served{leaf, certificate}, nil
}
