package main

import (
	"bytes"
	"context"
	"fmt"
	"sync"
)

// line is what a process printed.
type line struct{ by, text string }

// transcript collects the lines that processes print.
type transcript struct {
	mu      sync.Mutex
	lines   []line
	changed chan struct{} // closed at the next line
}

func newTranscript() *transcript { return &transcript{changed: make(chan struct{})} }

// of returns where a process is to print.
func (t *transcript) of(process string) *printer { return &printer{transcript: t, process: process} }

// printer takes what one process prints. It is not safe for concurrent use.
type printer struct {
	transcript *transcript
	process    string
	rest       []byte // of a line that has no end yet
}

// Write adds the lines that are complete to the transcript.
func (p *printer) Write(b []byte) (int, error) {
	p.rest = append(p.rest, b...)
	for {
		text, rest, found := bytes.Cut(p.rest, []byte("\n"))
		if !found {
			return len(b), nil
		}
		p.transcript.add(line{p.process, string(text)})
		p.rest = rest
	}
}

func (t *transcript) add(l line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, l)
	close(t.changed)
	t.changed = make(chan struct{})
}

// since returns the lines from a place on, and a channel that is closed at the next one.
func (t *transcript) since(place int) ([]line, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lines[place:len(t.lines):len(t.lines)], t.changed
}

// end returns the place of the next line.
func (t *transcript) end() int {
	lines, _ := t.since(0)
	return len(lines)
}

// find returns the first lines from a place on that match, waiting until there are so many, or ctx ends.
func (t *transcript) find(ctx context.Context, place, count int, match func(line) bool) ([]line, error) {
	for {
		lines, changed := t.since(place)
		var found []line
		for _, l := range lines {
			if match(l) && len(found) < count {
				found = append(found, l)
			}
		}
		if len(found) == count {
			return found, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for a process to print something: %w; printed was: %q", ctx.Err(), lines)
		}
	}
}
