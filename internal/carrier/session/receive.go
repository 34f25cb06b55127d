package session

import (
	"math"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/wire"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// control queues a small frame. The lock is held.
func (s *session) control(frame *pb.SessionRequest) {
	b, _ := proto.Marshal(frame) // it cannot fail
	s.PushLocked(&wire.Outgoing{Bytes: b}, wire.Control)
}

// read reads the frames of the stream until it ends. It never blocks on anything else.
func (s *session) read() error {
	var came []wire.SessionResponse
	frames := wire.Frames{Next: func() wire.Decoder {
		came = append(came, wire.SessionResponse{})
		return &came[len(came)-1]
	}}
	for {
		if err := s.stream.RecvMsg(&frames); err != nil {
			return err
		}
		if err := s.takeAll(came); err != nil {
			return err
		}
		clear(came)
		came = came[:0]
	}
}

// takeAll handles frames that arrived together.
func (s *session) takeAll(frames []wire.SessionResponse) error {
	s.Lock()
	s.heard, s.receiving = time.Now(), true
	var err error
	for i := 0; i < len(frames) && err == nil; i++ {
		err = s.take(&frames[i])
	}
	tell := s.taken-s.told >= takenCount || s.untold > quota
	if tell {
		s.tell()
	}
	s.receiving = false
	told := len(s.telling) > 0
	s.Unlock()
	if told {
		s.tellAll()
	}
	if tell && err == nil {
		s.Drain()
	}
	return err
}

// tell tells the server how many results have arrived. The lock is held.
func (s *session) tell() {
	s.told, s.untold = s.taken, 0
	s.control(&pb.SessionRequest{Frame: &pb.SessionRequest_Taken{Taken: &pb.SessionTaken{Count: s.taken}}})
}

// errMisused is the error of a stream whose server broke the protocol.
func errMisused(what string) error { return status.Error(codes.Internal, "session: "+what) }

// take handles a frame. The lock is held.
func (s *session) take(f *wire.SessionResponse) error {
	if f.Other == nil {
		return s.takeResult(&f.Result)
	}
	switch f := f.Other.GetFrame().(type) {
	case *pb.SessionResponse_Part:
		return s.takePart(f.Part)
	case *pb.SessionResponse_Received:
		if p := s.pending[f.Received.GetSeq()]; p != nil {
			s.arrived = max(s.arrived, p.end)
		}
	case *pb.SessionResponse_Credit:
		s.credit = f.Credit
	case *pb.SessionResponse_Closing: // what waits is refused, or not taken
		s.up = false
		s.link.current.CompareAndSwap(s, nil)
		s.link.came(false)
	case *pb.SessionResponse_Opened:
		return errMisused("there is a second opened")
	}
	return nil // a frame that is not known yet, or a heartbeat
}

// takeResult handles a result.
func (s *session) takeResult(r *wire.SessionResult) error {
	p := s.pending[r.Seq]
	if p == nil {
		return errMisused("there is a result of no message")
	}
	s.taken++
	s.untold += len(r.Text) + len(r.Bytes)
	p.result = *r
	s.end(p, nil)
	return nil
}

// assembly is a result that arrives in parts.
type assembly struct {
	content []byte
	got     uint64
	useless bool // nothing wants it
}

// takePart handles a part of a result.
func (s *session) takePart(part *pb.SessionPart) error {
	a, err := s.assembly(part)
	if err != nil {
		return err
	}
	if a.got += uint64(len(part.GetContent())); len(part.GetContent()) == 0 || a.got > part.GetSize() {
		return errMisused("a part of a result is empty, or longer than the result")
	}
	if !a.useless {
		a.content = append(a.content, part.GetContent()...)
	}
	if a.got < part.GetSize() {
		return nil
	}
	seq := part.GetSeq()
	delete(s.parts, seq)
	r := wire.SessionResult{Seq: seq}
	switch {
	case a.useless && s.pending[seq] == nil: // it has ended before
		s.taken++
		return nil
	case !a.useless && (!r.Decode(a.content) || r.Seq != seq):
		return errMisused("the parts of a result are malformed")
	default:
		return s.takeResult(&r)
	}
}

// assembly returns the result that a part belongs to. It begins one with the first part.
func (s *session) assembly(part *pb.SessionPart) (*assembly, error) {
	seq, size := part.GetSeq(), part.GetSize()
	if a := s.parts[seq]; a != nil {
		return a, nil
	}
	p := s.pending[seq]
	if p == nil || size > math.MaxInt32 {
		return nil, errMisused("there is a part of a result of no message, or of one that is too large")
	}
	a := &assembly{useless: p.abandoned}
	if err := s.link.carrier.TakesResult(int(size), p.typed); err != nil {
		a.useless = true
		s.end(p, err)
	}
	s.parts[seq] = a
	return a, nil
}

// silence returns how long a message may still wait without a frame from the server.
func (s *session) silence(since time.Time, most time.Duration) time.Duration {
	s.Lock()
	defer s.Unlock()
	if s.heard.After(since) {
		since = s.heard
	}
	return most - time.Since(since)
}

// tick checks the session regularly. It sends a heartbeat if the session waits and nothing comes,
// and ends an idle session.
func (s *session) tick() {
	s.Lock()
	defer s.Unlock()
	if !s.attached || !s.up && !s.retired || s.over {
		return
	}
	now := time.Now()
	quiet := now.Sub(s.heard)
	switch {
	case quiet > silentTime:
		s.cut() // and another stream asks what became of the messages
		return
	case s.count == 0 && (s.retired || now.Sub(s.used) > jittered(idleTime)) && s.IsQuiet():
		s.hangUp()
		return
	case quiet > quietTime:
		s.control(&pb.SessionRequest{Frame: &pb.SessionRequest_Heartbeat{Heartbeat: &pb.Heartbeat{}}})
	}
	if s.taken > s.told {
		s.tell()
	}
	if s.retired {
		s.timer.Reset(jittered(retiredTime))
	} else {
		s.timer.Reset(jittered(tickTime))
	}
	go s.Drain()
}
