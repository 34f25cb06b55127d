package connect

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"strings"

	"github.com/oslorpc/oslorpc/internal/gate"
	"github.com/oslorpc/oslorpc/internal/policy"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Interceptor returns an interceptor for servers that accepts only messages which Consul's
// intentions allow: from the service that the sender's certificate proves, to the service of the
// topic. Pings are always accepted, so any service of the mesh may ask whether an instance is
// alive.
func (n *Native) Interceptor() rpc.Interceptor { return rpc.Interceptor{Accept: n.accept} }

func (n *Native) accept(ctx context.Context, m *rpc.Message) (context.Context, error) {
	for _, t := range n.topicsOf(m) {
		if err := n.authorize(ctx, m, t); err != nil {
			return nil, err
		}
	}
	return ctx, nil
}

// topicsOf returns the topics to which the sender of a message must be allowed to send: the topic
// of the message, all topics that an introspection request asks about, or none for a ping.
func (n *Native) topicsOf(m *rpc.Message) []registry.Topic {
	switch {
	case m.Delivery != rpc.DeliveryInspect:
		return []registry.Topic{{Exchange: m.Target.Exchange, Name: m.Target.Topic}}
	case m.Method == "Ping":
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var list []registry.Topic
	for _, t := range n.topics {
		if m.Target.Topic == "" || m.Target.Topic == t.Name {
			list = append(list, t)
		}
	}
	return list
}

// noService is the reason for denying a sender that is not a member of the mesh.
const noService = "the sender proved no service: connect with connect=native in the transport URL, or by a proxy of Consul"

// authorize checks a message against the intentions for one of its topics, and writes the audit
// log.
func (n *Native) authorize(ctx context.Context, m *rpc.Message, t registry.Topic) error {
	sender := senderOf(m)
	if sender == nil {
		n.audit.Denied(ctx, false, callerOf(m), queryOf(m, t), noService)
		return denied(noService)
	}
	q := question{uri: sender.URIs[0].String(), service: n.config.ServiceName(t)}
	v, err := n.verdicts.of(ctx, q, sender)
	reason := v.reason
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		reason = err.Error()
		err = &rpc.Error{Kind: rpc.Refused, NotStarted: true, Cause: err, Message: fmt.Sprintf(
			"the server cannot tell whether Consul's intentions allow this: %v", err)}
	case !v.allowed:
		err = denied("Consul's intentions do not let service %q send to topic %q, whose service is %q: %s%s",
			serviceIn(sender), t.Name, q.service, reason, adviceFor(reason, serviceIn(sender), q.service))
	default:
		if n.config.Log.Enabled(ctx, slog.LevelDebug) { // usually not, which saves work for each message
			n.audit.Allowed(ctx, callerOf(m), queryOf(m, t), "", reason)
		}
		return nil
	}
	n.audit.Denied(ctx, n.config.DryRun, callerOf(m), queryOf(m, t), reason)
	if n.config.DryRun {
		return nil
	}
	return err
}

// callerOf and queryOf describe a message for the audit log.
func callerOf(m *rpc.Message) *gate.Caller { return &gate.Caller{Peer: m.Peer, Claimed: m.Caller} }

func queryOf(m *rpc.Message, t registry.Topic) *policy.Query {
	return &policy.Query{
		Exchange: t.Exchange, Topic: t.Name, Namespace: m.Target.Namespace, Server: m.Server, Method: m.Method, Delivery: m.Delivery,
	}
}

// senderOf returns the verified certificate of the sender of a message, or nil.
func senderOf(m *rpc.Message) *x509.Certificate {
	state := m.Peer.TLS
	if state == nil || len(state.VerifiedChains) == 0 || len(state.PeerCertificates) == 0 {
		return nil
	}
	return state.PeerCertificates[0]
}

func denied(format string, args ...any) *rpc.Error {
	return &rpc.Error{Kind: rpc.AccessDenied, NotStarted: true, Message: fmt.Sprintf(format, args...)}
}

// adviceFor says how to allow messages that an intention denied, as the end of an error text.
func adviceFor(reason, source, destination string) string {
	if strings.Contains(reason, "L7 intention") {
		return "; an intention with permissions (L7) is for proxies, which read HTTP, and denies native services all: " +
			"give it an action, and write the permissions as a policy of oslorpc"
	}
	return fmt.Sprintf("; to allow it: consul intention create -allow %s %s", source, destination)
}
