package httpfront

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// beat is the interval of the comments that keep an event stream alive.
const beat = 15 * time.Second

// These are the content types of streams.
const (
	linesType  = "application/x-ndjson"
	eventsType = "text/event-stream"
)

// stream is a response that consists of parts: lines of JSON, or server-sent events. Each part has
// a kind, which is the name of the event, or the only member of the line's object. The last part of
// a complete stream has the kind "end" or "error", so a client can tell when a stream was cut
// short.
type stream struct {
	front  *front
	w      http.ResponseWriter
	events bool

	mu    sync.Mutex
	begun bool
	err   error // the error of the first failed write, after which nothing is written
	beat  *time.Timer
	ended bool
}

// ending is the content of an "end" part: how many items or replies came before it.
type ending struct {
	Items   *int `json:"items,omitempty"`
	Replies *int `json:"replies,omitempty"`
}

// stream returns the stream for the response, in the format that the Accept header asks for.
// Without such a header it returns nil, unless needed is true.
func (e *exchange) stream(needed bool) *stream {
	accept := strings.Join(e.request.Header.Values("Accept"), ",")
	events, lines := strings.Contains(accept, eventsType), strings.Contains(accept, linesType) || strings.Contains(accept, "application/jsonl")
	if !needed && !events && !lines {
		return nil
	}
	s := &stream{front: e.front, w: e.w, events: events}
	if events {
		s.beat = time.AfterFunc(beat, s.keepAlive)
	}
	return s
}

// keepAlive writes a comment, which clients ignore.
func (s *stream) keepAlive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.err != nil {
		return
	}
	s.write(": still there\n\n")
	s.beat.Reset(beat)
}

// item writes an item of a multicall.
func (s *stream) item(text string) error { return s.part("item", text) }

// value writes a value as a part of the given kind.
func (s *stream) value(name string, v any) error {
	b, err := marshal(v)
	if err != nil {
		return err
	}
	return s.part(name, string(b))
}

// part writes JSON text as a part of the kind name. It replaces line breaks in the text by spaces.
func (s *stream) part(name, text string) error {
	if strings.ContainsAny(text, "\r\n") { // they are not in strings, where JSON escapes them
		text = strings.NewReplacer("\r", " ", "\n", " ").Replace(text)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.events {
		s.write("event: " + name + "\ndata: " + text + "\n\n")
	} else {
		s.write(`{"` + name + `":` + text + "}\n")
	}
	return s.err
}

// write writes text, and flushes it. The lock is held.
func (s *stream) write(text string) {
	if s.err != nil {
		return
	}
	if !s.begun {
		s.begun = true
		kind := linesType
		if s.events {
			kind = eventsType
		}
		s.w.Header().Set("Content-Type", kind)
		s.w.Header().Set("Cache-Control", "no-store")
		s.w.Header().Set("X-Accel-Buffering", "no") // otherwise nginx would buffer the parts
		s.w.WriteHeader(http.StatusOK)
	}
	if _, s.err = s.w.Write([]byte(text)); s.err == nil {
		s.err = http.NewResponseController(s.w).Flush()
	}
}

// end ends the stream. If err is not nil and nothing was written yet, it returns err, and the
// caller answers with that error's status. If parts were written, err becomes the last part.
func (s *stream) end(err error, e ending) error {
	if s.close(); err != nil && !s.hasBegun() {
		return err
	}
	if err != nil {
		_ = s.part("error", string(problemOf(err).text())) // a client that is gone reads nothing
		return nil
	}
	_ = s.value("end", e)
	return nil
}

// close stops the keep-alive comments.
func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	if s.beat != nil {
		s.beat.Stop()
	}
}

func (s *stream) hasBegun() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun
}
