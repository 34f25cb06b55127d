package service

import (
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/wire"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// control queues a small frame. The lock is held.
func (s *session) control(frame *pb.SessionResponse) *wire.Outgoing {
	o := &wire.Outgoing{}
	b, _ := proto.Marshal(frame) // it cannot fail
	o.Fill(b)
	s.PushLocked(o, wire.Control)
	return o
}

// read reads the frames after the first one.
func (s *session) read(a *attachment) error {
	for {
		e := &entry{session: s, on: a}
		if err := a.stream.RecvMsg(&e.frame); err != nil {
			if code := status.Code(err); code == codes.Internal || code == codes.ResourceExhausted { // of gRPC's codec
				return errMisused(err.Error())
			}
			return err
		}
		var err error
		if e.frame.Other == nil {
			err = s.take(a, e)
		} else {
			err = s.obey(a, e.frame.Other)
		}
		if err != nil {
			return err
		}
	}
}

// take takes in a message.
func (s *session) take(a *attachment, e *entry) error {
	m := &e.frame.Message
	s.Lock()
	defer s.Unlock()
	switch {
	case s.on != a:
		return errReplaced
	case m.Seq <= s.received:
		return errMisused("the seq of a message is not greater than the one before")
	case len(s.entries) >= creditMessages+creditSlack:
		return errMisused("there are more messages than the credit allows")
	}
	s.heard, s.received = time.Now(), m.Seq
	s.arrived += e.frame.Size
	e.seq, e.arrived = m.Seq, s.arrived
	s.entries[m.Seq] = e
	s.running++
	e.begin()
	if err := s.takes(m.Taken); err != nil {
		return err
	}
	if s.arrived-s.told < tellBytes || s.ack.Waits() {
		return nil
	}
	s.told = s.arrived
	s.ack = s.control(&pb.SessionResponse{Frame: &pb.SessionResponse_Received{Received: &pb.SessionReceived{Seq: s.received}}})
	go s.Drain() // the reader waits for no other frame
	return nil
}

// obey takes in a frame that is no message.
func (s *session) obey(a *attachment, frame *pb.SessionRequest) error {
	s.Lock()
	defer s.Unlock()
	if s.on != a {
		return errReplaced
	}
	s.heard = time.Now()
	switch f := frame.GetFrame().(type) {
	case *pb.SessionRequest_Cancel:
		if e := s.entries[f.Cancel.GetSeq()]; e != nil {
			e.cancel()
		}
	case *pb.SessionRequest_Taken:
		return s.takes(f.Taken.GetCount())
	case *pb.SessionRequest_Heartbeat:
		s.live()
		go s.Drain()
	case *pb.SessionRequest_Open:
		return errMisused("there is a second open")
	}
	return nil // a frame that is not known yet
}

// live queues a heartbeat. The lock is held.
func (s *session) live() {
	if !s.beat.Waits() && s.on != nil {
		s.beat = s.control(&pb.SessionResponse{Frame: &pb.SessionResponse_Heartbeat{Heartbeat: &pb.Heartbeat{}}})
	}
}

// takes forgets the results that the client has. The lock is held.
func (s *session) takes(count uint64) error {
	if count > s.taken+uint64(len(s.sent)) {
		return errMisused("more results are taken than were sent")
	}
	for ; s.taken < count; s.taken++ {
		s.forget(s.sent[0])
		s.sent[0] = nil
		s.sent = s.sent[1:]
	}
	return nil
}

// forget forgets a message. The lock is held.
func (s *session) forget(e *entry) {
	delete(s.entries, e.seq)
	e.forgotten = true
	e.cancel()
	if e.done {
		s.release(e)
	}
}

// tick looks at the session from time to time.
func (s *session) tick() {
	s.Lock()
	defer s.Unlock()
	now := time.Now()
	switch since := s.Since(); {
	case s.on != nil:
		if now.Sub(s.heard) > silentTime || !since.IsZero() && now.Sub(since) > silentTime {
			s.on.end(status.Error(codes.Unavailable, "the client of the session says nothing, or reads nothing"))
		}
		s.timer.Reset(jittered())
	case now.Sub(s.lost) >= max(keepTime, s.services.grace): // also without messages: some may not have arrived
		s.drop()
	default:
		for _, e := range s.entries {
			e.cancel()
		}
		s.timer.Reset(max(keepTime, s.services.grace) - now.Sub(s.lost))
	}
}

// info describes the sessions; nil if there are none.
func (s *sessions) info() *pb.SessionsInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) == 0 {
		return nil
	}
	info := &pb.SessionsInfo{Credit: creditMessages}
	for _, ss := range s.all {
		ss.Lock()
		switch {
		case ss.on != nil:
			info.Open++
		case !ss.dropped:
			info.Lost++
		}
		info.Running += int64(ss.running)
		for _, e := range ss.entries {
			if e.done {
				info.Kept++
			}
		}
		ss.Unlock()
	}
	return info
}
