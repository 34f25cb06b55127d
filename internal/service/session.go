package service

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/internal/deadline"
	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/internal/inbound"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/wire"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

const (
	// creditMessages and creditBytes bound the messages of a client that are in transit in one
	// session. creditSlack is how many further results a client may have without acknowledging
	// them.
	creditMessages, creditSlack = 1000, 256
	creditBytes                 = 256 << 10
	// tellBytes is how many bytes arrive before the client is told, if no result tells it.
	tellBytes = 16 << 10
	// freeBytes is the size of the results that a client may leave unacknowledged before further
	// ones count as unread answers.
	freeBytes = 64 << 10
	// partSize is the maximum size of a result in one frame, and of each part of a larger result.
	partSize = 16 << 10

	// SessionGrace is how long the methods of a session run on after its connection was lost,
	// unless [WithGrace] says otherwise.
	SessionGrace = 10 * time.Second
	// keepTime is the minimum time for which their results are then kept.
	keepTime = time.Minute
	// tickTime is the interval at which a session is checked. silentTime is how long a client may
	// send nothing, or read nothing.
	tickTime, silentTime = 10 * time.Second, 30 * time.Second
	// maxLost bounds the sessions of one caller that lost their connections, and keptBytes the
	// results of all such sessions of the process.
	maxLost, keptBytes = 256, 16 << 20
)

// sessions are the sessions of a process.
type sessions struct {
	mu      sync.Mutex
	all     map[sessionKey]*session
	streams int
	workers *workers // of the streams
	closing bool
}

// sessionKey identifies a session by its caller and its id. Other callers cannot use the session,
// even if they know its id.
type sessionKey struct{ owner, id string }

// session is the server's end of a session. It outlives its streams.
type session struct {
	wire.Sender // its lock guards the fields below

	services *Services
	key      sessionKey
	on       *attachment       // nil while it has no stream
	entries  map[uint64]*entry // messages that arrived, and whose results the client is not known to have
	received uint64            // the greatest seq that arrived
	begun    []*entry          // messages that arrived and wait to be forwarded or run
	running  int

	// Bytes that arrived, of these the ones that the client knows of, and bytes of kept results.
	arrived, told, held int
	// sent are the results that were sent on the stream and are not known to be there, after taken
	// others.
	sent  []*entry
	taken uint64

	heard     time.Time // when the client last said something
	lost      time.Time // when the stream broke
	closing   bool      // the process stops
	dropped   bool
	timer     *time.Timer
	beat, ack *wire.Outgoing
}

// attachment is one stream of a session.
type attachment struct {
	stream grpc.ServerStream
	// ctx has the values of the stream, and of has the values that its messages may see. Both
	// contexts do not end.
	ctx, of context.Context //nolint:containedctx // They are the stream's.
	caller  string
	peer    rpc.Peer
	sender  inbound.Sender
	claims  bool // its headers have claims about messages
	workers *workers
	bare    bool // its headers have nothing of the program

	once  sync.Once
	ended chan struct{}
	err   error // why it ended, once it has
}

// end ends the stream with a status; nil is OK. The first end counts.
func (a *attachment) end(err error) {
	a.once.Do(func() {
		a.err = err
		close(a.ended)
	})
}

// errReplaced is the error for a stream that does not carry its session any more.
var errReplaced = status.Error(codes.Aborted, "the session has another stream, or has ended")

// errMisused is the error for a client that does what the contract does not allow.
func errMisused(what string) error { return status.Error(codes.InvalidArgument, "session: "+what) }

// Session serves a stream of a session.
func (s *Services) Session(stream grpc.BidiStreamingServer[pb.SessionRequest, pb.SessionResponse]) error {
	ctx := stream.Context()
	if err := s.takesSessions(ctx); err != nil {
		return err
	}
	a := &attachment{stream: stream, ctx: deadline.Lasting{Context: ctx}, caller: callerOf(ctx), ended: make(chan struct{})}
	a.of, a.peer = grpc.NewContextWithServerTransportStream(a.ctx, unsent(pb.RPCService_Call_FullMethodName)), originOf(ctx, nil).Peer()
	a.sender, a.claims = inbound.SenderOf(ctx), header.Claims(ctx)
	a.bare = len(originOf(ctx, nil).Metadata()) == 0
	go s.converse(a)
	<-a.ended
	if errors.Is(a.err, io.EOF) { // the client has ended the session
		return nil
	}
	return a.err
}

// TakesSessions reports whether callers without tokens can have sessions. They cannot if a part of
// the program must see each RPC. The result is valid after [Services.Register].
func (s *Services) TakesSessions() bool { return !s.watched }

// takesSessions returns why there cannot be a session.
func (s *Services) takesSessions(ctx context.Context) error {
	switch p, _ := inbound.SenderOf(ctx).Peer(); {
	case header.Routed(ctx) != "":
		return statusOf(invalid("a session has messages for several targets, and the header "+header.Routed(ctx)+
			" is for one: leave the header out, or use the other RPCs"), nil)
	case s.watched:
		return statusOf(&rpc.Error{
			Kind: rpc.NoSuchMethod, Method: sessionName, NotStarted: true, Message: "this server takes no sessions: use the other RPCs",
		}, nil)
	case p.Identity.Proof == rpc.ProofToken:
		return statusOf(refusal.Denied("a session carries no tokens, which may expire before it: use the other RPCs"), nil)
	default:
		return nil
	}
}

// converse reads a stream until it ends. It never waits for anything else.
func (s *Services) converse(a *attachment) {
	silent := time.AfterFunc(silentTime, func() { a.end(errMisused("no frame came")) })
	defer silent.Stop()
	var first wire.SessionRequest
	if err := a.stream.RecvMsg(&first); err != nil {
		a.end(err)
		return
	}
	open := first.Other.GetOpen()
	if len(open.GetId()) != idSize {
		a.end(errMisused("the first frame is not open, or has no id"))
		return
	}
	ss, err := s.attach(a, open)
	if ss == nil {
		a.end(err)
		return
	}
	silent.Stop()
	a.end(ss.read(a))
	ss.detach(a)
	s.sessions.leave()
}

const (
	// sessionName is the name of the method.
	sessionName = "Session"
	// idSize is the size of a session's id, in bytes.
	idSize = 16
)

// attach makes a stream carry a session, and answers open. It returns nil if the stream must end.
func (s *Services) attach(a *attachment, open *pb.SessionOpen) (*session, error) {
	key := sessionKey{a.peer.Identity.Key(), string(open.GetId())}
	if account := a.sender.Account(); account != nil {
		key.owner = account.String()
	}
	all := &s.sessions
	all.mu.Lock()
	defer all.mu.Unlock()
	ss, ours := all.find(key), open.GetBootId() == "" || open.GetBootId() == s.intake.BootID()
	switch {
	case all.closing:
		return nil, statusOf(refusal.New(refusal.Stopping), nil)
	case !ours || open.GetResume() && ss == nil:
		return nil, a.stream.SendMsg(opened(&pb.SessionOpened{BootId: s.intake.BootID()}))
	case !open.GetResume() && ss != nil:
		return nil, errMisused("the id is in use")
	case ss == nil:
		ss = &session{services: s, key: key, entries: map[uint64]*entry{}}
		ss.timer = time.AfterFunc(jittered(), ss.tick)
		if all.all == nil {
			all.all = map[sessionKey]*session{}
		}
		all.all[key] = ss
	}
	all.enter(a)
	ss.attach(a, open.GetOutstanding())
	return ss, nil
}

// enter notes a stream, and gives it workers. The lock is held.
func (s *sessions) enter(a *attachment) {
	if s.streams++; s.streams == 1 {
		s.workers = &workers{}
	}
	a.workers = s.workers
}

// leave notes the end of a stream.
func (s *sessions) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams--; s.streams == 0 {
		s.workers.end()
	}
}

// find returns a session, nil if there is none. The lock is held.
func (s *sessions) find(key sessionKey) *session {
	ss := s.all[key]
	if ss == nil {
		return nil
	}
	ss.Lock()
	defer ss.Unlock()
	if ss.dropped {
		return nil
	}
	return ss
}

func opened(o *pb.SessionOpened) *pb.SessionResponse {
	return &pb.SessionResponse{Frame: &pb.SessionResponse_Opened{Opened: o}}
}

// jittered is the time until a session is looked at.
func jittered() time.Duration { return tickTime - rand.N(tickTime/4) }

// attach makes a stream carry the session, in place of the previous stream.
func (s *session) attach(a *attachment, outstanding []uint64) {
	s.Lock()
	if s.on != nil {
		s.on.end(errReplaced)
	}
	s.Close()
	s.Open(s, a.stream.SendMsg)
	s.on, s.heard = a, time.Now()
	s.sent, s.taken, s.told = nil, 0, s.arrived
	answer := &pb.SessionOpened{
		BootId: s.services.intake.BootID(), Resumed: true, Received: s.received,
		Credit: &pb.SessionCredit{Messages: creditMessages, Bytes: creditBytes},
	}
	wanted := make(map[uint64]bool, len(outstanding))
	for _, seq := range outstanding {
		wanted[seq] = true
		if s.entries[seq] == nil && seq <= s.received {
			answer.Forgotten = append(answer.Forgotten, seq)
		}
	}
	s.control(opened(answer), true)
	for seq, e := range s.entries {
		if !wanted[seq] {
			s.forget(e)
		} else if e.done {
			s.queue(e)
		}
	}
	s.Unlock()
	go s.Drain()
}

// detach records the end of a stream. Unless the client ended the session, or misused it, the
// session waits for another stream. It does so even without messages: the client may have sent some
// that did not arrive, and will ask about their outcome.
func (s *session) detach(a *attachment) {
	s.Lock()
	defer s.Unlock()
	if s.on != a {
		return
	}
	s.on = nil
	s.Close()
	if a.err == nil || errors.Is(a.err, io.EOF) || status.Code(a.err) == codes.InvalidArgument || s.closing {
		s.drop()
		return
	}
	s.lost = time.Now()
	s.timer.Reset(s.services.grace)
	for _, e := range s.entries {
		if e.settle != nil {
			e.settle()
		}
	}
	go s.services.sessions.bound(s.key.owner) // its lock comes before this one
}

// drop ends the session. The lock is held.
func (s *session) drop() {
	s.dropped = true
	s.timer.Stop()
	for _, e := range s.entries {
		s.forget(e)
	}
	go s.services.sessions.remove(s) // its lock comes before this one
}

// remove removes a session that was dropped.
func (s *sessions) remove(ss *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[ss.key] == ss {
		delete(s.all, ss.key)
	}
}

// EndSessions ends all sessions once their messages are answered, and prevents new ones. The
// servers have stopped.
func (s *Services) EndSessions() {
	all := &s.sessions
	all.mu.Lock()
	defer all.mu.Unlock()
	all.closing = true
	for _, ss := range all.all {
		ss.Lock()
		if ss.closing = true; ss.on == nil {
			ss.drop()
		} else {
			ss.control(&pb.SessionResponse{Frame: &pb.SessionResponse_Closing{Closing: &pb.SessionClosing{}}}, false)
		}
		ss.Unlock()
		go ss.Drain()
	}
}

// ends ends the stream of a stopping process, if all results were sent. The lock is held. No
// message is taken afterwards, so a message that crosses the end did not run.
func (s *session) ends() {
	if s.closing && s.on != nil && len(s.sent) == len(s.entries) && s.Idle() {
		a := s.on
		s.on = nil
		s.Close()
		s.drop()
		a.end(nil)
	}
}
