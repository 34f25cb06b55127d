package intake

import (
	"cmp"
	"context"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/gate"
	"github.com/oslorpc/oslorpc/internal/policy"
	"github.com/oslorpc/oslorpc/internal/typed"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// The gate decides about a message right after the search for its server, whatever the result. A
// denial names no server, and is the same whether or not a server was found, so that a caller
// without permission does not learn which server would get the message.

// guard asks the gate about a dynamic message for a server. A nil server means that none was found.
func (i *Intake) guard(ctx context.Context, m *Message, s *Server, as rpc.Delivery) error {
	if i.config.Gate == nil || m.entered {
		return nil
	}
	return i.enterGate(ctx, m, s, m.Target.Namespace, as)
}

// guardTyped is guard for a message of a typed service.
func (i *Intake) guardTyped(ctx context.Context, m *Message, s *Server) error {
	if i.config.Gate == nil {
		return nil
	}
	rules := rulesOf(m.Typed.Service, s)
	if rules == nil {
		return i.enterGate(ctx, m, nil, policy.Unknown, rpc.DeliveryCall)
	}
	return i.enterGate(ctx, m, s, rules.Namespace, deliveryOf(rules.Methods[m.Method]))
}

// enterGate asks the gate. Its error contains only information that the sender has already.
func (i *Intake) enterGate(ctx context.Context, m *Message, s *Server, namespace string, as rpc.Delivery) error {
	q := i.queryAt(s, m.Target)
	if m.meant != nil {
		q = policy.Query{Exchange: m.meant.Exchange, Topic: m.meant.Topic, Server: m.meant.Server}
	}
	q.Namespace, q.Method, q.Delivery = namespace, m.Method, as
	return m.Sign(i.config.Gate.Enter(ctx, callerOf(m.Origin, m.Caller), &q))
}

// rulesOf returns the rules of a typed service, from the server that offers it or, without a
// server, from the protobuf services that are linked into the program. It returns nil if the
// service is not linked.
func rulesOf(service string, s *Server) *typed.Service {
	if s != nil {
		return s.Services[service].Rules
	}
	rules, err := typed.FindService(service)
	if err != nil {
		return nil
	}
	return rules
}

// deliveryOf returns the delivery of messages for a typed method. For a nil method, it returns
// DeliveryCall.
func deliveryOf(m *typed.Method) rpc.Delivery {
	switch {
	case m == nil:
		return rpc.DeliveryCall
	case m.ClientStreams:
		return rpc.DeliveryStream
	case m.ServerStreams:
		return rpc.DeliveryMulticall
	case m.Delivery != typed.Call:
		return rpc.DeliveryCast
	default:
		return rpc.DeliveryCall
	}
}

// queryAt returns a query to the policy about a server. If the server is nil, the query has the
// names in the target.
func (i *Intake) queryAt(s *Server, target rpc.Target) policy.Query {
	if s != nil {
		return policy.Query{Exchange: s.Instance.Exchange, Topic: s.Instance.Topic, Server: s.Instance.Server}
	}
	return policy.Query{Exchange: cmp.Or(target.Exchange, i.config.Exchange), Topic: target.Topic, Server: target.Server}
}

func callerOf(from dispatch.Origin, claimed string) *gate.Caller {
	c := &gate.Caller{Claimed: claimed}
	if from != nil {
		c.Peer = from.Peer()
	}
	return c
}

// Use asks the gate whether a caller may use a method of a plain gRPC service, such as
// "grpc.health.v1.Health/Check".
func (i *Intake) Use(ctx context.Context, method string, from dispatch.Origin, claimed string) error {
	if i.config.Gate == nil {
		return nil
	}
	return i.config.Gate.Enter(ctx, callerOf(from, claimed), &policy.Query{Service: method})
}

// Policy returns the counts of the gate, or nil if there is no gate.
func (i *Intake) Policy() *gate.Report { return i.config.Gate.Report() }
