package service

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/internal/inbound"
	"github.com/oslorpc/oslorpc/internal/limits"
	"github.com/oslorpc/oslorpc/internal/wire"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// entry is a message of a session, from its arrival until the client has its result. It is the
// origin of the message, and accounts for it.
type entry struct {
	head    wire.SessionHead
	in      incoming
	session *session
	on      *attachment     // that it came by
	ctx     *messageContext // it ends with the message
	life    messageContext
	next    *entry // the message after this one that waits for a worker

	decoded  []func()       // gives back what the message takes as values
	answer   func()         // gives back what the result takes; nil for nothing
	reserved bool           // answer is for a result that is still to come
	accepted bool           // it is a cast that was answered
	account  *limits.Caller // has it as open; nil for none

	// What follows is guarded by the lock of the session.
	seq       uint64
	arrived   int // bytes that had arrived with it
	first     wire.Outgoing
	out       *wire.Outgoing // nil until the result is sent
	buffer    *[]byte        // has the frame of the result
	content   int            // where the result begins in it
	at        int            // where the next part begins, of a result that is sent in parts
	settle    func()         // ends the wait for room for the result
	done      bool           // the result is there
	forgotten bool
}

// begin has a worker run a message. The lock is held.
func (s *session) begin(m *wire.SessionMessage) {
	e, c, ctx := &entry{head: m.SessionHead, session: s, on: s.on, seq: m.Seq, arrived: s.arrived}, &m.Content, s.on.of
	in := &e.in
	in.Target, in.Method, in.ID, in.InstanceID, in.OrderKey = c.Target, c.Method, c.ID, c.InstanceID, c.OrderKey
	in.Kwargs, in.Context, in.Behalf = c.Kwargs, c.Context, c.Caller
	if m.Path != "" {
		ctx = grpc.NewContextWithServerTransportStream(ctx, unsent(m.Path))
	}
	if m.Headers != nil {
		md, _ := metadata.FromIncomingContext(ctx)
		ctx = metadata.NewIncomingContext(ctx, metadata.Join(md, m.Headers))
	}
	e.ctx, e.life.Context = &e.life, ctx
	if m.Timeout > 0 {
		e.life.deadline = s.heard.Add(m.Timeout)
	}
	s.entries[m.Seq] = e
	s.running++
	if s.services.relays {
		s.begun = append(s.begun, e)
	} else {
		s.on.workers.run(e)
	}
}

// cancel ends the context of the message.
func (e *entry) cancel() { e.life.end(context.Canceled) }

// run runs the message and finishes it. It does not return if the method ends this goroutine.
func (e *entry) run() {
	defer e.cancel()
	defer e.leave()
	var err error
	if e.account, err = inbound.OpenMessage(e.on.sender); err == nil {
		if e.head.Mode == pb.SessionMode_SESSION_MODE_MONITORED_CALL {
			defer e.beat()()
		}
		err = e.serve()
	}
	if err != nil {
		e.fail(err)
	}
}

// leave releases the memory of the decoded message, and its place among the messages of its caller.
func (e *entry) leave() {
	for _, ended := range e.decoded {
		ended()
	}
	e.decoded = nil
	if e.account != nil {
		e.account.CloseStreams(1)
		e.account = nil
	}
}

// serve runs the message, and finishes it unless it returns an error, which is a status.
func (e *entry) serve() error {
	if err := e.read(); err != nil {
		return err
	}
	s, in, m := e.session.services, &e.in, &e.head
	switch {
	case m.Mode > pb.SessionMode_SESSION_MODE_MONITORED_CALL:
		return statusOf(about(in.Method, invalid("the mode of the message is not known to this server")), nil)
	case m.Path != "":
		return e.serveTyped()
	case m.Mode == pb.SessionMode_SESSION_MODE_CAST:
		return e.serveCast()
	}
	if in.InPlace = e; m.Mode == pb.SessionMode_SESSION_MODE_MONITORED_CALL {
		in.Monitored, in.Heartbeat = true, e.interval()
	}
	kwargs, usual := in.encoded.GetKwargs(), in.Kwargs != ""
	text, err := s.run(e.ctx, in)
	if err != nil {
		return err
	}
	result := &wire.SessionResult{Outcome: wire.Returned, Text: text}
	if !usual {
		if result.Full, err = s.respond(in, text, kwargs); err != nil {
			return err
		}
	}
	e.finish(result, nil)
	return nil
}

// serveCast is serve for a cast, which runs after it was answered.
func (e *entry) serveCast() error {
	e.in.Accepter = e
	if err := e.session.services.intake.Cast(e.ctx, &e.in.Message); err != nil {
		return e.in.status(err)
	}
	if !e.accepted { // it was accepted before
		e.Accepted()
	}
	return nil
}

// Accepted implements [dispatch.Accepter].
func (e *entry) Accepted() {
	e.accepted = true
	e.leave()
	e.finish(&wire.SessionResult{Outcome: wire.Accepted}, nil)
}

// read takes the message in. The error is a status.
func (e *entry) read() error {
	in, m := &e.in, &e.head
	if m.Encoded != nil {
		full := &pb.Message{}
		ended, err := inbound.ClaimProtobuf(e.ctx, e.on.ctx, full.ProtoReflect().Descriptor(), m.Encoded)
		if err != nil {
			return statusOf(err, nil)
		}
		e.holds(ended)
		if err := proto.Unmarshal(m.Encoded, full); err != nil {
			return status.Error(codes.Internal, "session: the message is malformed: "+err.Error())
		}
		if err := in.read(e.ctx, full); err != nil {
			return err
		}
		m.Encoded = nil
	}
	in.ctx, in.sender = e.ctx, e.on.sender
	in.Origin, in.Caller, in.From = e, e.on.caller, e.on.sender.Account()
	if !e.on.claims && m.Headers == nil { // as is usual
		return nil
	}
	err := in.agree(e.ctx)
	if err == nil {
		err = in.agree(header.Note(e.ctx, m.Headers))
	}
	if err != nil {
		return statusOf(about(in.Method, err), nil)
	}
	return nil
}

// interval is the time between heartbeats.
func (e *entry) interval() time.Duration {
	if d := e.head.Heartbeat; d > 0 {
		return max(d, minHeartbeat)
	}
	return defaultHeartbeat
}

// beat sends heartbeats until stop is called.
func (e *entry) beat() (stop func()) {
	ticker := time.NewTicker(e.interval())
	go func() {
		for {
			select {
			case <-e.ctx.Done(): // at the latest when run returns
				return
			case <-ticker.C:
				e.session.Lock()
				e.session.live()
				e.session.Unlock()
				e.session.Drain()
			}
		}
	}()
	return ticker.Stop
}

// Exited implements [dispatch.Exiter].
func (e *entry) Exited(err error) { e.fail(e.in.exited(err)) }

// fail finishes the message with an error.
func (e *entry) fail(err error) { e.finish(failed(err), nil) }

// failed returns a status as a result.
func failed(err error) *wire.SessionResult {
	b, _ := proto.Marshal(status.Convert(err).Proto()) // a status can be encoded
	return &wire.SessionResult{Outcome: wire.Failed, Bytes: b}
}

// finish sends the result to the client. Reply is the result of a typed message.
func (e *entry) finish(r *wire.SessionResult, reply proto.Message) {
	e.settleWith(r, reply)
	e.session.Drain()
}

// settleWith is finish without sending the result.
func (e *entry) settleWith(r *wire.SessionResult, reply proto.Message) {
	s := e.session
	r.Seq = e.seq
	buffer := wire.Buffer()
	*buffer, e.content = r.Append(*buffer, reply)
	kept := e.reserve(len(*buffer))
	s.Lock()
	e.buffer, e.done = buffer, true
	s.running--
	s.held += len(*buffer)
	switch {
	case e.forgotten:
		s.release(e)
	case !kept && s.on == nil:
		s.forget(e)
	default:
		s.queue(e)
	}
	if s.on == nil && s.held > freeBytes {
		go s.services.sessions.bound(s.key.owner) // its lock comes before this one
	}
	s.Unlock()
}

// holds records a function to call when the message has run.
func (e *entry) holds(ended func()) {
	if ended != nil {
		e.decoded = append(e.decoded, ended)
	}
}

// release releases the memory of a result. The lock is held.
func (s *session) release(e *entry) {
	s.held -= len(*e.buffer)
	if e.out == nil || e.out.IsSent() {
		wire.Recycle(e.buffer)
	}
	e.giveBack()
}

// queue queues a result, or its first part. The lock is held.
func (s *session) queue(e *entry) {
	if s.on == nil {
		return
	}
	if e.out = &e.first; e.first.Of != nil { // another stream may still be about to send that
		e.out = &wire.Outgoing{}
	}
	e.out.Of = e
	if e.at = e.content; len(*e.buffer)-e.content > partSize {
		s.queuePart(e)
		return
	}
	e.at = len(*e.buffer)
	e.out.Bytes = *e.buffer
	s.PushLocked(e.out, wire.Single)
}

// queuePart queues the next part of a result. The lock is held.
func (s *session) queuePart(e *entry) {
	whole := *e.buffer
	part := whole[e.at:min(e.at+partSize, len(whole))]
	e.at += len(part)
	b, _ := proto.Marshal(&pb.SessionResponse{Frame: &pb.SessionResponse_Part{Part: &pb.SessionPart{ // it cannot fail
		Seq: e.seq, Size: uint64(len(whole) - e.content), Content: part, //nolint:gosec // It is not negative.
	}}})
	e.out.Bytes = b
	s.PushLocked(e.out, wire.Bulk)
}

// Leaves implements [wire.Owner].
func (s *session) Leaves(o *wire.Outgoing) {
	if e, ok := o.Of.(*entry); ok && e.out == o && e.at == len(*e.buffer) { // the client may say that it has it before Sent is called
		s.sent = append(s.sent, e)
		s.told = max(s.told, e.arrived)
	}
}

// Sent implements [wire.Owner].
func (s *session) Sent(o *wire.Outgoing, err error) {
	if e, ok := o.Of.(*entry); ok && err == nil && e.out == o && !e.forgotten && e.at < len(*e.buffer) {
		s.queuePart(e)
	}
	s.ends()
}

// MayBlock implements [wire.Owner]: the goroutines of methods may wait for a client, but those that
// read may not.
func (s *session) MayBlock() bool { return s.services.relays && s.held > relayQuota }

// Crowded implements [wire.Owner].
func (s *session) Crowded() bool { return s.running >= wire.Crowd }

// unsent is a stream of gRPC, named by its method, for what has no headers and trailers: the client
// of a session asks for none.
type unsent string

// Method returns the path of the method.
func (u unsent) Method() string { return string(u) }

// SetHeader does nothing.
func (unsent) SetHeader(metadata.MD) error { return nil }

// SendHeader does nothing.
func (unsent) SendHeader(metadata.MD) error { return nil }

// SetTrailer does nothing.
func (unsent) SetTrailer(metadata.MD) error { return nil }

// Metadata implements [dispatch.Origin].
func (e *entry) Metadata() rpc.Metadata {
	if e.on.bare && e.head.Headers == nil && e.in.entries == nil {
		return rpc.Metadata{} // as of nearly all
	}
	return e.in.Metadata()
}

// Peer implements [dispatch.Origin].
func (e *entry) Peer() rpc.Peer { return e.on.peer }

// Reserve implements [dispatch.Accountant].
func (e *entry) Reserve(n int, _ bool) error {
	e.reserved = true
	return e.claim(n)
}

// Answer implements [dispatch.Accountant].
func (e *entry) Answer(n int, _ bool) error {
	if e.reserved { // the estimate was near enough
		e.reserved = false
		return nil
	}
	return e.claim(n)
}

// Admit implements [dispatch.Accountant].
func (e *entry) Admit(ctx context.Context, text string, cast bool) (ended func(), err error) {
	ended, err = e.on.sender.Conn().AdmitJSON(ctx, e.on.ctx, text, true)
	if cast {
		return ended, err
	}
	e.holds(ended)
	return nil, err
}
