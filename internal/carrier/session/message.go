package session

import (
	"context"
	"fmt"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/carrier/grpccarrier"
	"github.com/oslorpc/oslorpc/internal/deadline"
	"github.com/oslorpc/oslorpc/internal/wire"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// minHeartbeat is the minimum heartbeat interval that servers support.
const minHeartbeat = 10 * time.Millisecond

// pending is a message in a session, from its queueing until its caller has the result.
type pending struct {
	wire.Outgoing

	buffer *[]byte
	mark   wire.SessionMark
	done   chan struct{} // has one element once the message has ended
	timer  *time.Timer   // of the caller; nil if none waited with one
	begun  *begun        // in place of done and timer, if no goroutine waits; else nil

	// The lock of the session guards the following fields. The caller reads them after done.
	seq       uint64
	end       int // bytes that were sent with it
	result    wire.SessionResult
	err       error // in place of a result
	unsent    bool  // it was not sent, and may travel otherwise
	abandoned bool  // the caller has left
	typed     bool
	ended     bool
	reusable  bool // nothing else uses it any more
}

// sending is the outcome of an attempt to send a message in a session.
type sending int

const (
	isSent     sending = iota
	notSent            // the session was lost before; another takes it
	unsuitable         // it has to travel otherwise
)

// do sends a message and waits for its result.
func (s *session) do(ctx context.Context, r *carrier.Request) (reply carrier.Reply, err error, how sending) { //nolint:staticcheck // How it was sent tells what the error means.
	p, how := s.begin(ctx, r)
	if how != isSent {
		return reply, nil, how
	}
	return s.finish(ctx, p, r)
}

// begin sends a message.
func (s *session) begin(ctx context.Context, r *carrier.Request) (*pending, sending) {
	p := s.link.carrier.pendings.Get().(*pending)
	if !s.encode(ctx, r, p) {
		return nil, unsuitable
	}
	if how := s.push(p); how != isSent {
		return nil, how
	}
	s.Drain()
	return p, isSent
}

// finish waits for the result of a message.
func (s *session) finish(ctx context.Context, p *pending, r *carrier.Request) (reply carrier.Reply, err error, how sending) { //nolint:staticcheck // How it was sent tells what the error means.
	if r.Silence > 0 && r.Typed == nil && r.Mode == carrier.Call {
		err = s.watch(ctx, p, r.Silence)
	} else {
		err = s.wait(ctx, p)
	}
	if r.Peer != nil {
		*r.Peer = s.server.Load().peer
	}
	switch {
	case err != nil: // the message has not ended yet
		return reply, err, isSent
	case p.unsent:
		return reply, nil, notSent
	case p.err != nil:
		return reply, p.err, isSent
	}
	reply, err = s.reply(ctx, &p.result, r)
	if p.reusable {
		*p = pending{done: p.done, timer: p.timer}
		s.link.carrier.pendings.Put(p)
	}
	return reply, err, isSent
}

// wait waits until a message has ended. It returns an error if ctx ended before.
func (s *session) wait(ctx context.Context, p *pending) error {
	select {
	case <-p.done: // it needs no timer
		return nil
	default:
	}
	outer, at := deadline.Split(ctx)
	if at.IsZero() {
		select {
		case <-p.done:
			return nil
		case <-outer.Done():
			return s.leave(ctx, p, nil)
		}
	}
	p.setTimer(time.Until(at))
	select {
	case <-p.done:
		p.timer.Stop()
		return nil
	case <-outer.Done():
		p.timer.Stop()
	case <-p.timer.C:
	}
	return s.leave(ctx, p, nil)
}

// setTimer sets the timer of a message. The timer is reused for other messages.
func (p *pending) setTimer(d time.Duration) {
	if p.timer == nil {
		p.timer = time.NewTimer(d)
	} else {
		p.timer.Reset(d)
	}
}

// watch is wait, but it also fails if nothing comes from the server for most.
func (s *session) watch(ctx context.Context, p *pending, most time.Duration) error {
	begun, timer := time.Now(), time.NewTimer(most)
	defer timer.Stop()
	for {
		select {
		case <-p.done:
			return nil
		case <-ctx.Done():
			return s.leave(ctx, p, nil)
		case <-timer.C:
		}
		left := s.silence(begun, most)
		if left <= 0 {
			return s.leave(ctx, p, errSilent(most))
		}
		timer.Reset(left)
	}
}

// encode encodes a message. It returns false if the message cannot be sent in a session.
func (s *session) encode(ctx context.Context, r *carrier.Request, p *pending) bool {
	if ctx.Err() != nil {
		return false
	}
	var m wire.SessionMessage
	c, t := &m.Content, r.Typed
	c.Target, c.Method, c.ID, c.InstanceID, c.OrderKey = r.Target, r.Method, r.ID, r.InstanceID, r.OrderKey
	c.Kwargs, c.Context, c.Caller = r.Kwargs, r.Context, r.Caller
	var request proto.Message
	if t != nil {
		c.Bare, m.Path, request = true, t.Path, t.Message
		if c.Target.Namespace = ""; r.InstanceID != "" && !s.link.carrier.Explicit() { // it says who is meant
			c.Target = rpc.Target{Version: r.Target.Version}
		}
	} else if r.Silence > 0 && r.Mode == carrier.Call {
		m.Mode, m.Heartbeat = pb.SessionMode_SESSION_MODE_MONITORED_CALL, max(r.Silence/2, minHeartbeat)
	}
	if r.Mode == carrier.Cast {
		m.Mode = pb.SessionMode_SESSION_MODE_CAST
	}
	if deadline, ok := ctx.Deadline(); ok {
		if m.Timeout = time.Until(deadline); m.Timeout <= 0 {
			return false
		}
	}
	var ok bool
	if m.Headers, ok = grpccarrier.SessionMetadata(ctx, r); !ok {
		return false
	}
	p.buffer, p.typed = wire.Buffer(), t != nil
	if p.mark, ok = m.Append(*p.buffer, request); !ok || len(p.mark.Bytes) > maxFrame {
		return false
	}
	*p.buffer = p.mark.Bytes
	p.Bytes = p.mark.Bytes
	p.Of = p
	return true
}

// errSilent is the error for a call without heartbeats.
func errSilent(after time.Duration) error {
	return &rpc.Error{Kind: rpc.MonitorTimeout, Message: fmt.Sprintf(
		"neither a heartbeat nor the reply came for %v; the method may have run", after)}
}

// reply returns the result of a message.
func (s *session) reply(ctx context.Context, result *wire.SessionResult, r *carrier.Request) (reply carrier.Reply, err error) {
	if result.Outcome == wire.Failed {
		st := &spb.Status{}
		if err := proto.Unmarshal(result.Bytes, st); err != nil || st.GetCode() == 0 {
			return reply, errUnsuitable()
		}
		return reply, s.link.SessionError(ctx, r, st)
	}
	if err := s.link.carrier.TakesResult(max(len(result.Text), len(result.Bytes)), r.Typed != nil); err != nil {
		return reply, err
	}
	if r.Typed != nil {
		return reply, typedReply(result, r.Typed.Result.(proto.Message))
	}
	switch {
	case result.Outcome == wire.Accepted && r.Mode == carrier.Cast:
		return reply, nil
	case result.Outcome != wire.Returned || r.Mode == carrier.Cast:
		return reply, errUnsuitable()
	case result.Full != nil:
		return grpccarrier.SessionResult(result.Full)
	default:
		return carrier.Reply{Result: result.Text}, nil
	}
}

// typedReply decodes the reply of a typed message.
func typedReply(result *wire.SessionResult, into proto.Message) error {
	if result.Outcome != wire.Replied {
		return errUnsuitable()
	}
	if err := proto.Unmarshal(result.Bytes, into); err != nil {
		return &rpc.Error{Kind: rpc.BadResult, Cause: err, Message: "the method ran, and its reply cannot be decoded: " + err.Error()}
	}
	return nil
}

func errUnsuitable() error {
	return &rpc.Error{Kind: rpc.OutcomeUnknown, Message: "the server sent a result of the wrong kind for the message; the method may have run"}
}

// push queues a message if the session accepts it.
func (s *session) push(p *pending) sending {
	s.Lock()
	defer s.Unlock()
	n := len(p.Bytes)
	way := s.bytes - s.arrived + s.queued
	switch {
	case !s.up:
		return notSent
	case s.count >= int(s.credit.GetMessages()) || way > 0 && way+n > int(s.credit.GetBytes()):
		return unsuitable
	case !s.PushLocked(&p.Outgoing, wire.Single):
		return notSent
	}
	s.count++
	s.queued += n
	return isSent
}

// Leaves implements [wire.Owner].
func (s *session) Leaves(o *wire.Outgoing) {
	p, ok := o.Of.(*pending)
	if !ok {
		return
	}
	s.seq++
	s.queued -= len(p.Bytes)
	s.bytes += len(p.Bytes)
	p.seq, p.end = s.seq, s.bytes
	s.pending[p.seq] = p
	p.mark.Set(p.seq, s.taken)
	s.told, s.untold = s.taken, 0
}

// Sent implements [wire.Owner]. If the stream did not take a message, it ends as unsent.
func (s *session) Sent(o *wire.Outgoing, err error) {
	p, ok := o.Of.(*pending)
	if !ok {
		return
	}
	if p.buffer != nil {
		wire.Recycle(p.buffer)
		p.buffer = nil
	}
	if err != nil && !p.ended {
		p.unsent = true
		s.end(p, nil)
	}
}

// MayBlock implements [wire.Owner].
func (s *session) MayBlock() bool { return s.bytes-s.arrived > quota }

// Crowded implements [wire.Owner].
func (s *session) Crowded() bool { return s.count >= wire.Crowd }
