package service

import (
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/wire"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// control queues a small frame. The lock is held.
func (s *session) control(frame *pb.SessionResponse, alone bool) *wire.Outgoing {
	b, _ := proto.Marshal(frame) // it cannot fail
	o := &wire.Outgoing{Bytes: b, Alone: alone}
	s.PushLocked(o, wire.Control)
	return o
}

// keptFrames is for how many frames that came together memory is kept.
const keptFrames = 128

// spareFrames are empty slices for frames that come together.
var spareFrames = sync.Pool{New: func() any { return &[]wire.SessionRequest{} }}

// read reads the frames after the first one.
func (s *session) read(a *attachment) error {
	var came *[]wire.SessionRequest // nil until a frame comes: many sessions are idle
	frames := wire.Frames{Next: func() wire.Decoder {
		if came == nil {
			came = spareFrames.Get().(*[]wire.SessionRequest)
		}
		*came = append(*came, wire.SessionRequest{})
		return &(*came)[len(*came)-1]
	}}
	for {
		if err := a.stream.RecvMsg(&frames); err != nil {
			if code := status.Code(err); code == codes.Internal || code == codes.ResourceExhausted { // of gRPC's codec
				return errMisused(err.Error())
			}
			return err
		}
		if came == nil {
			continue
		}
		err := s.takeAll(a, *came)
		if s.services.relays {
			s.relay()
		}
		if err != nil {
			return err
		}
		if clear(*came); cap(*came) <= keptFrames {
			*came = (*came)[:0]
			spareFrames.Put(came)
		}
		came = nil
	}
}

// takeAll takes in frames that came together.
func (s *session) takeAll(a *attachment, frames []wire.SessionRequest) error {
	s.Lock()
	defer s.Unlock()
	if s.on != a {
		return errReplaced
	}
	s.heard = time.Now()
	var err error
	for i := 0; i < len(frames) && err == nil; i++ {
		if f := &frames[i]; f.Other == nil {
			err = s.take(f)
		} else {
			err = s.obey(f.Other)
		}
	}
	return err
}

// take takes in a message. The lock is held.
func (s *session) take(f *wire.SessionRequest) error {
	m := &f.Message
	switch {
	case m.Seq <= s.received:
		return errMisused("the seq of a message is not greater than the one before")
	case len(s.entries) >= creditMessages+creditSlack:
		return errMisused("there are more messages than the credit allows")
	}
	s.received = m.Seq
	s.arrived += f.Size
	s.begin(m)
	if err := s.takes(m.Taken); err != nil {
		return err
	}
	if s.arrived-s.told < tellBytes || s.ack.Waits() {
		return nil
	}
	s.told = s.arrived
	s.ack = s.control(&pb.SessionResponse{Frame: &pb.SessionResponse_Received{Received: &pb.SessionReceived{Seq: s.received}}}, false)
	go s.Drain() // the reader waits for no other frame
	return nil
}

// obey takes in a frame that is no message. The lock is held.
func (s *session) obey(frame *pb.SessionRequest) error {
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
		s.beat = s.control(&pb.SessionResponse{Frame: &pb.SessionResponse_Heartbeat{Heartbeat: &pb.Heartbeat{}}}, false)
	}
}

// takes forgets the results that the client has. The lock is held.
func (s *session) takes(count uint64) error {
	if count > s.taken+uint64(len(s.sent)) {
		return errMisused("more results are taken than were sent")
	}
	n := int(count - min(s.taken, count)) //nolint:gosec // It is at most the length of sent.
	for _, e := range s.sent[:n] {
		s.forget(e)
	}
	s.sent = slices.Delete(s.sent, 0, n)
	s.taken += uint64(n) //nolint:gosec // As above.
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
