package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/internal/carrier/grpccarrier"
	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	"github.com/oslorpc/oslorpc/internal/wire"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

const (
	// maxFrame is the maximum size of a frame with a message, in bytes.
	maxFrame = 48 << 10
	// quota is how many sent bytes may be unprocessed before sending could block. It is less than
	// gRPC accepts for one stream without blocking.
	quota = 48 << 10
	// takenCount is the number of results after which the server is told that they have arrived.
	takenCount = 32
	// tickTime is the interval of checks. After quietTime without a frame, a heartbeat is sent.
	// After silentTime, the stream is given up.
	tickTime, quietTime, silentTime = 10 * time.Second, 8 * time.Second, 30 * time.Second
	// idleTime is how long an unused session lasts.
	idleTime = time.Minute
	// handshakeTime bounds the wait for the answer to the open frame.
	handshakeTime = 10 * time.Second
	// retiredTime is the interval of checks of a retired session.
	retiredTime = 100 * time.Millisecond
	// absentTime is how long connections to a process on this machine must be refused until the
	// process counts as dead.
	absentTime = time.Second
	// minRetry and maxRetry bound the pauses between attempts to open another stream.
	minRetry, maxRetry = 20 * time.Millisecond, time.Second
)

// session is the client's end of a session. It outlives its streams.
type session struct {
	wire.Sender // its lock guards what follows

	link   *link
	meant  identity.Server
	id     []byte
	server atomic.Pointer[server] // of the last stream, set before messages are taken
	stream grpc.ClientStream      // the last one
	cut    context.CancelFunc     // ends the stream

	boot    string
	seq     uint64
	pending map[uint64]*pending // that were sent and have no result
	count   int                 // messages that are queued, or pending
	queued  int                 // bytes in the queue
	bytes   int                 // that were sent
	arrived int                 // of these, the ones that are known to have arrived
	credit  *pb.SessionCredit

	attached bool // there is a stream
	up       bool // messages are taken
	retired  bool // messages are not taken any more, and another session takes them
	over     bool // the server was told that nothing follows

	// taken counts the results that arrived on the stream, and told how many of them the server
	// knows of.
	taken, told uint64
	untold      int // their bytes
	parts       map[uint64]*assembly
	// telling are ended messages whose waiters are told next. While receiving is true, the
	// goroutine that receives tells them.
	telling   []*begun
	receiving bool

	heard, used time.Time
	retry       time.Duration // the last time between attempts to open another stream
	timer       *time.Timer
}

// server is the server as the connection of a stream proves it.
type server struct {
	line     any // the connection
	peer     rpc.Peer
	security credentials.AuthInfo
}

func newSession(l *link, meant identity.Server) *session {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // it never fails, by its documentation
	return &session{link: l, meant: meant, id: id, boot: l.key.BootID, pending: map[uint64]*pending{}}
}

// jittered returns d, shortened by up to a quarter.
func jittered(d time.Duration) time.Duration { return d - mathrand.N(d/4+1) }

// errOver is the error of a stream that must not be replaced by another.
var errOver = errors.New("the session is over")

// ending is how a session ended.
type ending int

const (
	ended   ending = iota // one end told the other
	lost                  // its connection broke
	refused               // the process takes no sessions, or not this one
)

// run runs the session from the beginning of its first stream to the end of its last.
func (s *session) run(life context.Context) ending {
	if err := s.open(life, false); status.Code(err) == codes.Unavailable {
		return lost
	} else if err != nil {
		return refused
	}
	for {
		err := s.read()
		over := s.detach()
		switch {
		case over, life.Err() != nil:
			s.fail(func() *rpc.Error {
				return &rpc.Error{Kind: rpc.OutcomeUnknown, Cause: err, Message: "the transport was closed before the answer came; the method may have run"}
			})
			return ended
		case errors.Is(err, io.EOF):
			s.fail(errNotTaken)
			return ended
		}
		misused := status.Code(err) == codes.InvalidArgument // then the server drops the session
		why := errOther
		if !misused {
			if why = s.resume(life); why == nil {
				continue
			}
		}
		s.fail(func() *rpc.Error {
			return &rpc.Error{Kind: rpc.OutcomeUnknown, Cause: err, Message: fmt.Sprintf(
				"the connection to the server was lost after the message was sent (%s), and its result with it: %v; it may have run: check that before you send it again",
				rpcstatus.Plain(status.Convert(err).Message()), why)}
		})
		if misused {
			return refused
		}
		return lost
	}
}

// errNotTaken is the error for messages without a result after the server has sent all results.
func errNotTaken() *rpc.Error { return refusal.New(refusal.Stopping) }

// errNotReceived is the error for messages that did not reach the server.
func errNotReceived() *rpc.Error {
	return &rpc.Error{Kind: rpc.Unreachable, NotStarted: true, Message: "the connection was lost before the server received the message"}
}

// open opens a stream of the session.
func (s *session) open(life context.Context, resume bool) error {
	ctx, cut := context.WithCancel(life)
	late := time.AfterFunc(handshakeTime, cut)
	defer late.Stop()
	line := s.link.Line() // if another is made now, the session retires soon
	stream, err := s.link.OpenSession(ctx, s.meant)
	if err != nil {
		cut()
		return err
	}
	open := &pb.SessionOpen{Id: s.id, BootId: s.boot, Resume: resume, Outstanding: s.outstanding()}
	if err := stream.SendMsg(&pb.SessionRequest{Frame: &pb.SessionRequest_Open{Open: open}}); err != nil && !errors.Is(err, io.EOF) { // then receiving says why
		cut()
		return err
	}
	var first wire.SessionResponse
	if err := stream.RecvMsg(&first); err != nil {
		cut()
		return err
	}
	opened := first.Other.GetOpened()
	switch {
	case opened == nil, opened.GetCredit() == nil, !opened.GetResumed(), s.boot != "" && opened.GetBootId() != s.boot, !late.Stop():
		cut()
		return errOver
	}
	s.attach(stream, line, cut, opened) //nolint:contextcheck // The stream has its own.
	return nil
}

// outstanding returns the messages whose results are wanted. It forgets the others.
func (s *session) outstanding() (list []uint64) {
	s.Lock()
	defer s.Unlock()
	for seq, p := range s.pending {
		if p.abandoned {
			delete(s.pending, seq)
			s.count--
		} else {
			list = append(list, seq)
		}
	}
	slices.Sort(list)
	return list
}

// attach makes the session use a stream.
func (s *session) attach(stream grpc.ClientStream, line any, cut context.CancelFunc, opened *pb.SessionOpened) {
	s.Lock()
	defer s.Unlock()
	s.stream, s.cut, s.boot, s.credit = stream, cut, opened.GetBootId(), opened.GetCredit()
	proven := &server{line: line, peer: grpccarrier.PeerOf(stream)}
	if p, ok := grpcpeer.FromContext(stream.Context()); ok {
		proven.security = p.AuthInfo
	}
	s.server.Store(proven)
	s.Open(s, stream.SendMsg)
	s.taken, s.told, s.untold, s.parts = 0, 0, 0, map[uint64]*assembly{}
	s.arrived, s.queued = s.bytes, 0
	s.heard, s.used, s.attached, s.up = time.Now(), time.Now(), true, !s.retired
	for _, seq := range opened.GetForgotten() {
		if p := s.pending[seq]; p != nil {
			s.end(p, &rpc.Error{Kind: rpc.OutcomeUnknown, Message: "the connection was lost, and the server no longer has the result; the method may have run"})
		}
	}
	for seq, p := range s.pending {
		if seq > opened.GetReceived() {
			s.end(p, errNotReceived())
		} else if p.abandoned {
			s.control(&pb.SessionRequest{Frame: &pb.SessionRequest_Cancel{Cancel: &pb.SessionCancel{Seq: seq}}})
		}
	}
	s.timer = time.AfterFunc(jittered(tickTime), s.tick)
	s.link.Keep(1)
	if s.up {
		s.link.current.Store(s)
		s.link.meet()
	}
	go s.Drain()
}

// detach notes the end of the stream, and reports whether the server said that no more frames
// follow. Unsent messages are sent by other means.
func (s *session) detach() (over bool) {
	s.Lock()
	defer s.Unlock()
	if !s.retired {
		s.link.comes()
	}
	s.link.current.CompareAndSwap(s, nil)
	s.up, s.attached = false, false
	s.link.Keep(-1)
	s.timer.Stop()
	s.cut()
	s.unsend(s.Close())
	return s.over
}

// unsend ends queued messages as unsent.
func (s *session) unsend(waiting []*wire.Outgoing) {
	for _, o := range waiting {
		if p, ok := o.Of.(*pending); ok {
			p.unsent = true
			s.end(p, nil)
		}
	}
}

// fail ends all sent messages with an error.
func (s *session) fail(why func() *rpc.Error) {
	s.Lock()
	defer s.Unlock()
	for _, p := range s.pending {
		s.end(p, why())
	}
}

// end ends a message with an error or, if err is nil, with its result. The lock is held.
func (s *session) end(p *pending, err error) {
	if p.ended {
		return
	}
	if p.seq != 0 {
		delete(s.pending, p.seq)
		s.arrived = max(s.arrived, p.end)
	}
	s.count--
	s.used = time.Now()
	p.ended, p.err = true, err
	p.reusable = p.IsSent()
	switch {
	case p.abandoned:
	case p.begun == nil:
		p.done <- struct{}{}
	default:
		if s.telling = append(s.telling, p.begun); !s.receiving {
			go s.tellAll()
		}
	}
}

// leave ends a message whose caller no longer waits, and returns its error, or nil if the message
// had ended already. Why is nil if the context ended.
func (s *session) leave(ctx context.Context, p *pending, why error) error {
	s.Lock()
	defer s.Unlock()
	switch {
	case p.ended:
		if p.begun == nil {
			<-p.done
		}
		return nil
	case s.TakeBack(&p.Outgoing):
		s.queued -= len(p.Bytes)
		if why == nil {
			why = rpcstatus.Decode(ctx.Err(), false)
		}
		if s.end(p, why); p.begun != nil { // which is told
			return nil
		}
		<-p.done
		return why
	}
	p.abandoned = true
	if s.up {
		s.control(&pb.SessionRequest{Frame: &pb.SessionRequest_Cancel{Cancel: &pb.SessionCancel{Seq: p.seq}}})
		go s.Drain()
	}
	if why != nil {
		return why
	}
	e := rpcstatus.Decode(ctx.Err(), true)
	if !s.attached {
		e.Message += "; the connection to the server was lost, and could not be made again to ask what became of it"
	}
	return e
}
