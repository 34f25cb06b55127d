package interop

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/internal/interop/wire"
)

// server is a server program. Its methods are safe for concurrent use.
type server struct {
	*process

	// topic and short are the topic of the server and the short name of its process.
	topic, short string
	addr         string // of a gateway

	mu      sync.Mutex
	events  map[wire.Event]int
	changed chan struct{} // closed at the next event
}

// startServers starts the servers of a topic concurrently and returns when others can find them.
func startServers(ctx context.Context, l *Language, url, topic string, names ...string) ([]*server, error) {
	var all []*server
	for _, name := range names {
		s := &server{topic: topic, short: name, events: map[wire.Event]int{}, changed: make(chan struct{})}
		p, err := start(ctx, fmt.Sprintf("%s server %s/%s", l.Name, topic, name), l.server(url, topic, name), s.take)
		if err != nil {
			return all, err
		}
		s.process = p
		all = append(all, s)
	}
	for _, s := range all {
		if err := s.await(wire.Event{Event: wire.Ready}, starting); err != nil {
			return all, err
		}
	}
	return all, nil
}

// startGateway starts the gateway to which servers of a language attach.
func startGateway(ctx context.Context, l *Language, url string) (*server, error) {
	s := &server{short: "gateway", events: map[wire.Event]int{}, changed: make(chan struct{})}
	addr := make(chan string, 1)
	p, err := start(ctx, l.Name+" gateway", l.gateway(url), func(line []byte) error {
		e, err := decode[wire.Event](line)
		if err == nil && e.Event == wire.Ready {
			addr <- e.Note
		}
		return s.take(line)
	})
	if err != nil {
		return nil, err
	}
	s.process = p
	select {
	case s.addr = <-addr:
		return s, nil
	case <-s.exited:
		return nil, fmt.Errorf("%s ended before it was ready%s", s.name, s.logged())
	case <-time.After(starting):
		return nil, fmt.Errorf("%s was not ready in %v%s", s.name, starting, s.logged())
	}
}

// take processes an event.
func (s *server) take(line []byte) error {
	e, err := decode[wire.Event](line)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events[*e]++
	close(s.changed)
	s.changed = make(chan struct{})
	return nil
}

// count returns how often an event was reported, and a channel that is closed at the next event.
func (s *server) count(e wire.Event) (int, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.events[e], s.changed
}

// await waits until an event is reported.
func (s *server) await(e wire.Event, limit time.Duration) error {
	late := time.After(limit)
	for {
		n, changed := s.count(e)
		if n > 0 {
			return nil
		}
		select {
		case <-changed:
		case <-s.exited:
			if n, _ := s.count(e); n > 0 {
				return nil
			}
			return fmt.Errorf("%s ended before it reported %v%s", s.name, e, s.logged())
		case <-late:
			return fmt.Errorf("%s did not report %v in %v%s", s.name, e, limit, s.logged())
		}
	}
}

// servers are the servers of a topic.
type servers []*server

// ran returns the names of the servers that ran a message. A server that ran the message twice is
// listed twice.
func (all servers) ran(note string) (names []string) {
	for _, s := range all {
		n, _ := s.count(wire.Event{Event: wire.Ran, Note: note})
		names = append(names, slices.Repeat([]string{s.short}, n)...)
	}
	return names
}

// awaitRuns waits until a message has run as often as it should.
func (all servers) awaitRuns(note string, want int) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(patience); len(all.ran(note)) < want; {
		select {
		case <-tick.C:
		case <-late:
			return fmt.Errorf("the message ran at [%s], not at %d servers, after %v", strings.Join(all.ran(note), " "), want, patience)
		}
	}
	return nil
}

// kill kills the servers.
func (all servers) kill() {
	for _, s := range all {
		s.kill()
	}
}
