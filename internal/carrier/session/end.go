package session

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// resume opens another stream for the messages that are outstanding. It returns false if there are
// none, or the server does not have the session, or the process is gone.
func (s *session) resume(life context.Context) bool {
	s.Lock()
	lost, heard := time.Now(), s.heard
	s.Unlock()
	for wait := minRetry; life.Err() == nil && s.isWanted(); wait = min(2*wait, maxRetry) {
		ctx, cancel := context.WithTimeout(life, maxRetry)
		err := s.link.Connect(ctx)
		cancel()
		if err == nil {
			err = s.open(life, true)
		}
		switch {
		case err == nil:
			return true
		case errors.Is(err, errOver), status.Code(err) == codes.InvalidArgument, status.Code(err) == codes.Unimplemented:
			return false
		case s.link.Absent() && time.Since(lost) > absentTime, time.Since(lost) > askTime && time.Since(heard) > silentTime:
			return false
		}
		select {
		case <-life.Done():
		case <-time.After(jittered(wait)):
		}
	}
	return false
}

// isWanted reports whether a caller waits for a result.
func (s *session) isWanted() bool {
	s.Lock()
	defer s.Unlock()
	for _, p := range s.pending {
		if !p.abandoned {
			return true
		}
	}
	return false
}

// quit ends the session, whatever it has. It returns false if the server cannot be told.
func (s *session) quit() bool {
	s.Lock()
	defer s.Unlock()
	if !s.up {
		return false
	}
	s.unsend(s.Close())
	if !s.IsQuiet() {
		return false
	}
	s.hangUp()
	return true
}

// retire leaves further messages to another session. Those that are there end in this one.
func (s *session) retire() {
	s.Lock()
	defer s.Unlock()
	if !s.up {
		return
	}
	s.up, s.retired = false, true
	s.link.current.CompareAndSwap(s, nil)
	s.link.next.Store(0)
	s.timer.Reset(0)
}

// isRetired reports whether another session may have begun.
func (s *session) isRetired() bool {
	s.Lock()
	defer s.Unlock()
	return s.retired
}

// hangUp tells the server that nothing follows. No goroutine sends. The lock is held.
func (s *session) hangUp() {
	s.up, s.over = false, true
	s.link.current.CompareAndSwap(s, nil)
	s.Close()
	_ = s.stream.CloseSend() // it never fails
}
