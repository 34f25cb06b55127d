package memcarrier

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// origin tells a server where a message came from.
type origin struct{ metadata rpc.Metadata }

// Metadata implements [dispatch.Origin].
func (o origin) Metadata() rpc.Metadata { return o.metadata }

// Peer implements [dispatch.Origin].
func (origin) Peer() rpc.Peer { return rpc.Peer{Addr: "memory"} }

// message returns a request as the server gets it.
func (l *link) message(r *carrier.Request) (*intake.Message, error) {
	m := &intake.Message{InstanceID: r.InstanceID, Request: dispatch.Request{
		Target: r.Target, Method: r.Method, Kwargs: r.Kwargs, Context: r.Context, ID: r.ID, OrderKey: r.OrderKey,
		Caller: l.carrier.config.Caller, Monitored: r.Silence > 0, Origin: origin{maps.Clone(r.Metadata)},
	}}
	if m.Caller == "" {
		m.Caller = dispatch.UnknownCaller
	}
	if r.Missed > 0 && r.ID != "" {
		m.Missed = &r.Missed
	}
	if r.Typed == nil {
		return m, nil
	}
	m.Typed.Service, m.Method, _ = strings.Cut(strings.TrimPrefix(r.Typed.Path, "/"), "/")
	version, err := rpc.VersionOrDefault(r.Target.Version)
	if err != nil {
		return nil, &rpc.Error{Kind: rpc.InvalidTarget, NotStarted: true, Message: err.Error()}
	}
	m.Version, m.HasVersion = version, true
	return m, nil
}

// encode returns a message as it travels.
func encode(m proto.Message) ([]byte, error) {
	b, err := proto.Marshal(m)
	if err != nil {
		return nil, &rpc.Error{Kind: rpc.BadArguments, NotStarted: true, Cause: err, Message: "the message cannot be encoded: " + err.Error()}
	}
	return b, nil
}

func decode(b []byte, into any) error { return proto.Unmarshal(b, into.(proto.Message)) }

// outcome is what a server answers.
type outcome struct {
	result string
	reply  []byte
	err    error
}

// Do implements [carrier.Link].
func (l *link) Do(ctx context.Context, r *carrier.Request) (carrier.Reply, error) {
	c, err := l.sendable(ctx)
	if err != nil {
		return carrier.Reply{}, err
	}
	m, err := l.message(r)
	if err != nil {
		return carrier.Reply{}, err
	}
	var request []byte
	if r.Typed != nil {
		if request, err = encode(r.Typed.Message); err != nil {
			return carrier.Reply{}, err
		}
	}
	if r.Peer != nil {
		r.Peer.Addr = l.key.Addr
	}
	run, cancel := atServer(ctx, c)
	defer cancel()
	answered := make(chan outcome, 1)
	n := l.carrier.network
	n.running.Go(func() {
		if !n.pass(c) {
			return
		}
		o := serve(run, c.host.Intake, m, r, request)
		if n.pass(c) {
			answered <- o
		}
	})
	o := l.await(ctx, c, r.Silence, answered)
	if o.err != nil {
		return carrier.Reply{}, o.err
	}
	return l.reply(r, o)
}

// serve has the process run a message.
func serve(ctx context.Context, in *intake.Intake, m *intake.Message, r *carrier.Request, request []byte) (o outcome) {
	switch {
	case r.Typed != nil:
		var reply any
		if reply, o.err = in.CallTyped(ctx, m, func(into any) error { return decode(request, into) }); o.err == nil {
			o.reply, o.err = encode(reply.(proto.Message))
		}
	case r.Mode == carrier.Cast:
		o.err = in.Cast(ctx, m)
	default:
		o.result, o.err = in.Call(ctx, m)
	}
	o.err = arrived(o.err)
	return o
}

// atServer returns the context of a message at the server. It has the deadline of the sender, and ends with
// the sender's interest and with the connection.
func atServer(ctx context.Context, c *conn) (context.Context, context.CancelFunc) {
	run, cancel := context.WithCancel(context.Background())
	if deadline, ok := ctx.Deadline(); ok {
		run, cancel = context.WithDeadline(context.Background(), deadline)
	}
	unhook := context.AfterFunc(ctx, cancel)
	go func() {
		select {
		case <-c.broken:
			cancel()
		case <-run.Done():
		}
	}()
	return run, func() {
		unhook()
		cancel()
	}
}

// await waits for the answer, for as long as there may be one.
func (l *link) await(ctx context.Context, c *conn, silence time.Duration, answered <-chan outcome) outcome {
	var quiet <-chan time.Time
	if silence > 0 {
		ticker := time.NewTicker(silence)
		defer ticker.Stop()
		quiet = ticker.C
	}
	for {
		select {
		case o := <-answered:
			return o
		case <-quiet:
			if !isClosed(l.carrier.network.passes(c)) {
				return outcome{err: &rpc.Error{Kind: rpc.MonitorTimeout, Message: fmt.Sprintf(
					"neither a heartbeat nor the reply came for %v; the method may have run", silence)}}
			}
		case <-ctx.Done():
			return outcome{err: unanswered(ctx)}
		case <-c.broken:
			return outcome{err: lost()}
		case <-l.closed:
			return outcome{err: closedMeanwhile()}
		}
	}
}

// reply returns the answer as the sender gets it.
func (l *link) reply(r *carrier.Request, o outcome) (carrier.Reply, error) {
	if limit := l.carrier.config.MaxSize; limit > 0 && max(len(o.result), len(o.reply)) > limit {
		return carrier.Reply{}, &rpc.Error{Kind: rpc.TooLarge, Message: fmt.Sprintf(
			"the method ran, and its result has more than %d bytes", limit)}
	}
	if r.Typed == nil {
		return carrier.Reply{Result: o.result}, nil
	}
	if err := decode(o.reply, r.Typed.Result); err != nil {
		return carrier.Reply{}, &rpc.Error{Kind: rpc.BadResult, Cause: err, Message: "the method ran, and its result cannot be read: " + err.Error()}
	}
	return carrier.Reply{}, nil
}

// arrived returns an error of a server as its sender sees it: without the Go values that do not travel.
func arrived(err error) error {
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok {
		return err
	}
	copied := *e
	copied.Cause, copied.Target = nil, rpc.Target{}
	if remote, ok := errors.AsType[*rpc.RemoteError](err); ok {
		travelled := *remote
		copied.Cause = &travelled
	} else if why, ok := errors.AsType[refusal.Reason](err); ok {
		copied.Cause = why
	}
	return &copied
}

// unsent is the error of a message whose ctx had ended before it was sent.
func unsent(ctx context.Context) *rpc.Error {
	e := unanswered(ctx)
	e.NotStarted, e.Message = true, "it was not sent in time"
	return e
}

// unanswered is the error of a message whose sender no longer waits.
func unanswered(ctx context.Context) *rpc.Error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return &rpc.Error{Kind: rpc.Canceled, Cause: context.Cause(ctx), Message: "canceled before the answer came; the method may have run"}
	}
	return &rpc.Error{Kind: rpc.Timeout, Cause: context.Cause(ctx), Message: "the deadline passed before the answer came; the method may have run"}
}

func lost() error {
	return &rpc.Error{Kind: rpc.OutcomeUnknown, Message: "the connection was lost after the message was sent; it may have run"}
}

func closedMeanwhile() error {
	return &rpc.Error{Kind: rpc.OutcomeUnknown, Message: "the transport was closed before the answer came; the method may have run"}
}
