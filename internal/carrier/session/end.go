package session

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// These errors say why the session no longer asks for the outcome of messages. The first two prove
// that no process has the outcome.
var (
	errOther    = errors.New("another process is at its address, or it does not have the session any more")
	errDead     = errors.New("nothing listens at its address any more, so its process is dead")
	errClosed   = errors.New("this transport was closed")
	errUnwanted = errors.New("no caller waits for it")
)

// resume opens another stream for the outstanding messages. It tries again while any caller waits.
// It returns an error if no caller waits, or if it is proven that no process has the session. An
// unreachable server proves nothing.
func (s *session) resume(life context.Context) error {
	lost := time.Now()
	for pause(life, s.delay()); life.Err() == nil && s.isWanted(); pause(life, s.delay()) {
		ctx, cancel := context.WithTimeout(life, maxRetry)
		err := s.link.Connect(ctx)
		cancel()
		if err == nil {
			err = s.open(life, true)
		}
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errOver), status.Code(err) == codes.InvalidArgument, status.Code(err) == codes.Unimplemented:
			return errOther
		case s.link.Absent() && (s.link.isUnlisted() || s.link.isDirect() && time.Since(lost) > absentTime):
			return errDead
		}
	}
	if life.Err() != nil {
		return errClosed
	}
	return errUnwanted
}

// delay returns the time until the next stream is opened. It is 0 after a stream that brought a
// result.
func (s *session) delay() time.Duration {
	s.Lock()
	defer s.Unlock()
	if s.taken > 0 {
		s.taken, s.retry = 0, 0
		return 0
	}
	s.retry = min(max(2*s.retry, minRetry), maxRetry)
	return jittered(s.retry)
}

// pause waits for a time, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
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

// quit ends the session, even if messages are outstanding. It returns false if the server cannot be
// told.
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

// retire lets another session take new messages. Outstanding messages end in this session.
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

// hangUp tells the server that no more frames follow. No goroutine is sending. The lock is held.
func (s *session) hangUp() {
	s.up, s.over = false, true
	s.link.current.CompareAndSwap(s, nil)
	s.Close()
	_ = s.stream.CloseSend() // it never fails
}
