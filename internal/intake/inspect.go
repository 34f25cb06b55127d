package intake

import (
	"context"
	"slices"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/gate"
	"github.com/oslorpc/oslorpc/internal/limits"
	"github.com/oslorpc/oslorpc/internal/policy"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Inspection is a question to a process about itself.
type Inspection struct {
	// Method is "Ping" or "GetInfo"; at a gateway, "List" or "Watch" as well.
	Method string
	// Topic is the topic asked about; nil for all.
	Topic *string
	// InstanceID is the instance asked about; empty for all.
	InstanceID string
	// Requests asks also for the servers' counts of messages by method, version and caller.
	Requests bool
	Origin   dispatch.Origin
	// Caller is the name that the sender's program gives itself.
	Caller string
}

// View is the part of a process that a caller may see.
type View struct {
	// Servers are in the order in which they were started.
	Servers []*Server
	// Whole is true if the caller may ask about the process itself, and not only about servers.
	Whole bool
	// Policy has the counts of the gate, and Refusals the number of refusals by each limit. They
	// describe the whole process, so they are nil unless the caller may ask about all of its
	// servers and topics.
	Policy   *gate.Report
	Refusals map[limits.Reason]int64
}

// Inspect returns the answer to a question about the process. An error means that the gate or an
// interceptor refused the question.
func (i *Intake) Inspect(ctx context.Context, q *Inspection) (View, error) {
	v := View{Whole: true}
	for _, s := range i.Servers() {
		if (q.Topic == nil || *q.Topic == s.Instance.Topic) && (q.InstanceID == "" || q.InstanceID == s.Instance.ID) {
			v.Servers = append(v.Servers, s)
		}
	}
	target := rpc.Target{}
	if q.Topic != nil {
		target.Topic = *q.Topic
	}
	if i.config.Gate != nil {
		if err := i.show(ctx, q, target, &v); err != nil {
			return View{}, err
		}
	}
	i.tell(q, &v)
	if err := i.askAbout(ctx, q, target); err != nil {
		return View{}, err
	}
	return v, nil
}

// askAbout runs the Accept functions of the interceptors for a question. An error refuses the
// question.
func (i *Intake) askAbout(ctx context.Context, q *Inspection, target rpc.Target) error {
	if len(i.accepts) == 0 {
		return nil
	}
	m := &rpc.Message{Method: q.Method, Target: target, InstanceID: q.InstanceID, Delivery: rpc.DeliveryInspect, Caller: q.Caller}
	if q.Origin != nil {
		m.Metadata, m.Peer = q.Origin.Metadata(), q.Origin.Peer()
	}
	_, err := i.ask(ctx, m)
	return err
}

// tell adds the information about the whole process to a view, if the caller may see it.
func (i *Intake) tell(q *Inspection, v *View) {
	if q.Method != "GetInfo" {
		return
	}
	from := callerOf(q.Origin, q.Caller)
	shown := func(s *Server) bool {
		question := i.queryAt(s, rpc.Target{})
		question.Method, question.Delivery = q.Method, rpc.DeliveryInspect
		return i.config.Gate.Shows(from, &question)
	}
	if !shown(nil) || slices.ContainsFunc(i.Servers(), func(s *Server) bool { return !shown(s) }) {
		return
	}
	v.Policy = i.Policy()
	if i.config.Refusals != nil {
		v.Refusals = i.config.Refusals()
	}
}

// show removes from a view what the policy hides from the caller. It returns an error if nothing is
// left.
func (i *Intake) show(ctx context.Context, q *Inspection, target rpc.Target, v *View) error {
	from := callerOf(q.Origin, q.Caller)
	about := func(s *Server) *policy.Query {
		question := i.queryAt(s, target)
		question.Method, question.Delivery = q.Method, rpc.DeliveryInspect
		return &question
	}
	shown := func(g *gate.Gate, s *Server) bool { return g.Shows(from, about(s)) }
	v.Whole = shown(i.config.Gate, nil)
	v.Servers = slices.DeleteFunc(v.Servers, func(s *Server) bool { return !shown(i.config.Gate, s) })
	var first *Server // the gate is asked about it, because the caller may see it
	if !v.Whole && len(v.Servers) > 0 {
		first = v.Servers[0]
	}
	return i.config.Gate.Enter(ctx, from, about(first))
}

// Ping returns nil if the process has the instance that is asked about, and the instance is not
// stopping. With an empty id, it returns nil if the caller may ask. A gateway passes on a question
// about an instance of another process.
func (i *Intake) Ping(ctx context.Context, q *Inspection) error {
	is := func(s *Server) bool { return s.Instance.ID == q.InstanceID }
	if i.config.Forward != nil && q.InstanceID != "" && !slices.ContainsFunc(i.Servers(), is) {
		if err := i.askElsewhere(ctx, q); err != nil {
			return err
		}
		return i.config.Forward.Ping(ctx, q)
	}
	v, err := i.Inspect(ctx, q)
	switch {
	case err != nil:
		return err
	case q.InstanceID == "":
		return nil
	case len(v.Servers) == 0:
		return i.absent(q.InstanceID, string(refusal.Misdirected))
	case v.Servers[0].Dispatch.Phase().IsEnding():
		return refusal.New(refusal.Stopping)
	default:
		return nil
	}
}
