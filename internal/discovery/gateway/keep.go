package gateway

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// keep keeps the process attached to a gateway while it has published servers.
func (s *site) keep() {
	defer func() {
		if s.at != nil {
			s.at.end()
		}
	}()
	for pause := minPause; s.life.Err() == nil; {
		retry := s.step()
		if s.isOver() {
			return
		}
		var late <-chan time.Time
		if retry {
			late = time.After(pause/2 + rand.N(pause/2))
			pause = min(2*pause, maxPause)
		} else {
			pause = minPause
		}
		s.wait(late)
	}
}

// isOver reports whether keep may end, because nothing is published and the listener is closed. In
// that case it also sets started to false.
func (s *site) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at != nil || len(s.wanted) > 0 || s.number > s.taken || !isClosed(s.listener.Closed()) {
		return false
	}
	s.started = false
	return true
}

// step attaches the process if necessary, and publishes the wanted list if the gateway does not
// have it. It returns true if that failed and should be tried again.
func (s *site) step() (retry bool) {
	list, number := s.now()
	switch {
	case s.at == nil && len(list) == 0:
		s.tell(number, nil)
		return false
	case s.at == nil || isClosed(s.at.closing) && len(list) > 0:
		return s.move(list, number)
	case s.has == number:
		return false
	}
	ctx, cancel := context.WithTimeout(s.life, attachTime)
	defer cancel()
	switch err := s.at.publish(ctx, list); {
	case err == nil:
		s.has = number
		s.tell(number, nil)
	case !isClosed(s.at.gone): // the gateway refused the list, and would refuse it again
		s.has = number
		s.tell(number, err)
	}
	return false
}

// move attaches the process to a gateway, or to another gateway if it is attached already. Running
// calls of the previous attachment go on until that gateway ends it.
func (s *site) move(list []rpc.Instance, number uint64) (retry bool) {
	next, err := s.attachAny(list)
	if err != nil {
		if s.at == nil {
			s.tell(number, err)
			s.log.Warn("the servers of this process are attached to no gateway; it tries again", "error", err)
		}
		return true
	}
	left := s.at
	s.at, s.has = next, number
	s.tell(number, nil)
	switch {
	case left != nil:
		s.log.Info("the gateway is about to stop: the servers of this process are attached to another", "gateway", next.addr, "left", left.addr)
		s.running.Go(func() { s.leave(left) })
	case s.was:
		s.log.Info("the servers of this process are attached again", "gateway", next.addr)
		s.tellLapse(next.addr)
	default:
		s.log.Info("the servers of this process are attached to a gateway", "gateway", next.addr)
	}
	s.was = true
	return false
}

func (s *site) tellLapse(addr string) {
	s.publisher.mu.Lock()
	lapsed := s.lapsed
	s.publisher.mu.Unlock()
	lapsed("the process was attached to no gateway for a while, and is attached to " + addr + " now")
}

// leave withdraws the servers from a gateway that will stop soon, and waits until the gateway ends
// the attachment.
func (s *site) leave(left *attachment) {
	ctx, cancel := context.WithTimeout(s.life, attachTime)
	defer cancel()
	_ = left.publish(ctx, nil) // if it fails, the end of the attachment has the same effect
	select {
	case <-left.gone:
	case <-s.life.Done():
		left.end()
	}
}

// attachAny attaches the process to the first gateway that accepts it, except the gateway that it
// is attached to. At first it begins with a random gateway, so that processes are spread over
// gateways. Later it begins with the last gateway that accepted it.
func (s *site) attachAny(list []rpc.Instance) (*attachment, error) {
	if !s.was && s.first == 0 {
		s.first = rand.N(len(s.addrs))
	}
	var failures []error
	for i := range s.addrs {
		at := (s.first + i) % len(s.addrs)
		if s.at != nil && s.at.addr == s.addrs[at] {
			continue
		}
		a, err := s.attachTo(s.addrs[at], list)
		if err == nil {
			s.first = at
			return a, nil
		}
		failures = append(failures, err)
	}
	return nil, allFailed(failures)
}

func (s *site) attachTo(addr string, list []rpc.Instance) (*attachment, error) {
	ctx, cancel := context.WithTimeout(s.life, attachTime)
	defer cancel()
	a, err := attach(ctx, s.life, addr, s.dial, s.listener)
	if err != nil {
		return nil, err
	}
	if err := a.publish(ctx, list); err != nil {
		a.end()
		return nil, err
	}
	return a, nil
}

// allFailed returns the error if no gateway accepts the servers. It has the kind of the first
// failure that is neither a timeout nor a cancellation.
func allFailed(failures []error) error {
	if len(failures) == 0 {
		return &rpc.Error{Kind: rpc.Unreachable, NotStarted: true, Message: "there is no other gateway"}
	}
	texts := make([]string, len(failures))
	kind := rpc.Unreachable
	for i, err := range failures {
		texts[i] = failure.Text(err)
		if k := rpc.KindOf(err); k != rpc.Timeout && k != rpc.Canceled && kind == rpc.Unreachable {
			kind = k
		}
	}
	return &rpc.Error{Kind: kind, NotStarted: true, Cause: errors.Join(failures...), Message: fmt.Sprintf(
		"no gateway accepts the servers: %s", strings.Join(texts, "; "))}
}

// wait returns when step has something to do, or when late fires. If the attachment has ended, it
// sets at to nil.
func (s *site) wait(late <-chan time.Time) {
	var gone, closing, closed <-chan struct{}
	if list, _ := s.now(); s.at == nil && len(list) == 0 {
		closed = s.listener.Closed()
	}
	if s.at != nil {
		gone, closing = s.at.gone, s.at.closing
		if isClosed(closing) { // it would end the wait at once; late ends it when it is time to try again
			closing = nil
		}
	}
	select {
	case <-closed:
	case <-s.wake:
	case <-late:
	case <-closing:
	case <-gone:
		if list, _ := s.now(); len(list) > 0 && s.life.Err() == nil {
			why := s.at.tunnel.Err()
			if why != nil {
				why = failed(s.life, s.at.conn, s.at.addr, why)
			}
			s.log.Warn("the servers of this process lost the gateway to which they were attached", "gateway", s.at.addr, "error", why)
		}
		s.at = nil
	case <-s.life.Done():
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
