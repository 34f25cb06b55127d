package memcarrier

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// exchange is one message on a connection, and its answer. It decides the outcome of the message:
// either the message arrives, or its sender gives up. It cannot arrive after that.
type exchange struct {
	link    *Link
	conn    *conn
	settled atomic.Int32  // 0: on its way
	serving chan struct{} // closed when the process is done with it

	// ctx is the context at the process.
	ctx    context.Context //nolint:containedctx // The context of the sender ends at the sender.
	cancel context.CancelFunc
}

const (
	arrived int32 = iota + 1
	givenUp
)

// start sends a message. Serve runs at the process once the message has arrived.
func (l *Link) start(ctx context.Context, serve func(ctx context.Context, in *intake.Intake)) (*exchange, error) {
	l.mu.Lock()
	c, connected := l.conn, l.health == carrier.Ready
	l.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return nil, gaveUp(ctx, true)
	case !connected || l.carrier.closed.Load():
		return nil, l.broke(true)
	}
	x := &exchange{link: l, conn: c, serving: make(chan struct{})}
	x.ctx, x.cancel = context.WithCancel(context.Background())
	if deadline, ok := ctx.Deadline(); ok {
		x.ctx, x.cancel = context.WithDeadline(context.Background(), deadline)
	}
	go func() {
		defer close(x.serving)
		defer x.cancel()
		if x.conn.pass(nil) && x.settled.CompareAndSwap(0, arrived) {
			serve(x.ctx, x.conn.host.intake)
		}
	}()
	go func() {
		select {
		case <-c.broken:
		case <-x.ctx.Done():
		}
		x.cancel()
	}()
	return x, nil
}

// giveUp tells the process, as soon as messages pass, that the sender no longer waits. It returns
// true if the message itself did not arrive, and never will.
func (x *exchange) giveUp() (notStarted bool) {
	go func() {
		x.conn.pass(x.serving)
		x.cancel()
	}()
	return x.settled.CompareAndSwap(0, givenUp)
}

// failed gives up on the message, and returns the reason.
func (x *exchange) failed(ctx context.Context) error {
	notStarted := x.giveUp()
	if ctx.Err() != nil {
		return gaveUp(ctx, notStarted)
	}
	return x.link.broke(notStarted)
}

// ask sends a message with a single answer, and returns the answer.
func ask[T any](ctx context.Context, l *Link, serve func(context.Context, *intake.Intake) (T, error)) (answer T, err error) {
	type outcome struct {
		answer T
		err    error
	}
	came := make(chan outcome, 1)
	x, err := l.start(ctx, func(ctx context.Context, in *intake.Intake) {
		var o outcome
		o.answer, o.err = serve(ctx, in)
		came <- o
	})
	if err != nil {
		return answer, err
	}
	select {
	case o := <-came:
		if o.err != nil && isDue(ctx) {
			<-ctx.Done() // the same deadline passed at the process a moment earlier
		} else if x.conn.pass(ctx.Done()) {
			return o.answer, carried(o.err)
		}
	case <-x.conn.broken:
	case <-ctx.Done():
	}
	return answer, x.failed(ctx)
}

// isDue reports whether the deadline of ctx has passed.
func isDue(ctx context.Context) bool {
	deadline, has := ctx.Deadline()
	return has && time.Until(deadline) <= 0
}

// Do implements [carrier.Link].
func (l *Link) Do(ctx context.Context, r *carrier.Request) (carrier.Reply, error) {
	m, err := pack(r, l.carrier.caller)
	if err != nil {
		return carrier.Reply{}, err
	}
	if r.Peer != nil {
		*r.Peer = rpc.Peer{Addr: l.key.Addr}
	}
	if r.Typed != nil {
		return carrier.Reply{}, l.doTyped(ctx, r, m)
	}
	ctx, quiet := l.monitor(ctx, r)
	defer quiet(nil)
	result, err := ask(ctx, l, func(ctx context.Context, in *intake.Intake) (string, error) {
		if m.request.Mode == carrier.Cast {
			return "", in.Cast(ctx, m.unpack())
		}
		return in.Call(ctx, m.unpack())
	})
	if err == nil {
		err = l.carrier.takes(len(result))
	}
	if err != nil && context.Cause(ctx) == errQuiet && rpc.KindOf(err) == rpc.Canceled { //nolint:errorlint // It is that value.
		err = &rpc.Error{Kind: rpc.MonitorTimeout, Cause: errQuiet, Message: fmt.Sprintf(
			"neither a heartbeat nor the reply came for %v; the method may have run", r.Silence)}
	}
	return carrier.Reply{Result: result}, err
}

// errQuiet is the cause with which a monitored call is canceled when no heartbeat came.
var errQuiet = errors.New("no heartbeat came in time")

// monitor returns a context that ends when no heartbeat comes from the process for r.Silence.
func (l *Link) monitor(ctx context.Context, r *carrier.Request) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	l.mu.Lock()
	c := l.conn
	l.mu.Unlock()
	if r.Silence == 0 || r.Typed != nil || c == nil {
		return ctx, cancel
	}
	silence := r.Silence
	quiet := time.AfterFunc(silence, func() { cancel(errQuiet) })
	go func() { // the heartbeats of the process, for longer than r may be used
		beat := time.NewTicker(silence / 2)
		defer beat.Stop()
		defer quiet.Stop()
		for {
			select {
			case <-beat.C:
			case <-ctx.Done():
				return
			}
			if c.pass(ctx.Done()) {
				quiet.Reset(silence)
			}
		}
	}()
	return ctx, cancel
}

// doTyped sends a message of a typed service and stores its result.
func (l *Link) doTyped(ctx context.Context, r *carrier.Request, m *message) error {
	reply, err := ask(ctx, l, func(ctx context.Context, in *intake.Intake) ([]byte, error) {
		reply, err := in.CallTyped(ctx, m.unpack(), func(to any) error { return proto.Unmarshal(m.content, to.(proto.Message)) })
		if err != nil {
			return nil, err
		}
		return proto.Marshal(reply.(proto.Message))
	})
	if err == nil {
		err = l.carrier.takes(len(reply))
	}
	if err != nil {
		return err
	}
	return proto.Unmarshal(reply, r.Typed.Result.(proto.Message))
}

// question is the origin of an introspection request.
type question struct{ message }

// Ping implements [carrier.Link].
func (l *Link) Ping(ctx context.Context, _ identity.Server, instanceID string) error {
	_, err := ask(ctx, l, func(ctx context.Context, in *intake.Intake) (struct{}, error) {
		return struct{}{}, in.Ping(ctx, &intake.Inspection{Method: "Ping", InstanceID: instanceID, Origin: &question{}})
	})
	return err
}

// Info implements [carrier.Link], as far as tests need it.
func (l *Link) Info(ctx context.Context, meant identity.Server, _ string, requests bool) (*rpc.Info, error) {
	return ask(ctx, l, func(ctx context.Context, in *intake.Intake) (*rpc.Info, error) {
		q := &intake.Inspection{Method: "GetInfo", Origin: &question{}}
		if meant.Topic != "" {
			q.Topic = &meant.Topic
		}
		view, err := in.Inspect(ctx, q)
		if err != nil {
			return nil, err
		}
		info := &rpc.Info{BootID: in.BootID()}
		for _, s := range view.Servers {
			about := rpc.ServerInfo{
				InstanceID: strings.Clone(s.Instance.ID), Exchange: s.Instance.Exchange, Topic: s.Instance.Topic, Server: s.Instance.Server,
			}
			if requests {
				counts, _ := s.Dispatch.Requests()
				for _, c := range counts {
					about.Requests = append(about.Requests, rpc.RequestCount{Method: c.Method, Version: c.Version, Caller: c.Caller, Accepted: c.Accepted})
				}
			}
			info.Servers = append(info.Servers, about)
		}
		return info, nil
	})
}
