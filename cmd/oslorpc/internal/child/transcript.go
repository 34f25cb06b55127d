package child

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
)

// Line is a line of output. By is the name of the process that printed it.
type Line struct{ By, Text string }

// Transcript collects the lines that processes print.
type Transcript struct {
	mu      sync.Mutex
	lines   []Line
	changed chan struct{} // closed at the next line
}

// NewTranscript returns an empty transcript.
func NewTranscript() *Transcript { return &Transcript{changed: make(chan struct{})} }

// Of returns a writer for the output of a process, which adds each line to the transcript. It is
// not safe for concurrent use.
func (t *Transcript) Of(process string) io.Writer { return &printer{transcript: t, process: process} }

// printer splits the output of a process into lines.
type printer struct {
	transcript *Transcript
	process    string
	rest       []byte // the beginning of a line that has no end yet
}

// Write adds the lines that are complete to the transcript.
func (p *printer) Write(b []byte) (int, error) {
	p.rest = append(p.rest, b...)
	for {
		text, rest, found := bytes.Cut(p.rest, []byte("\n"))
		if !found {
			return len(b), nil
		}
		p.transcript.add(Line{p.process, string(text)})
		p.rest = rest
	}
}

func (t *Transcript) add(l Line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, l)
	close(t.changed)
	t.changed = make(chan struct{})
}

// Lines returns all lines.
func (t *Transcript) Lines() []Line {
	lines, _ := t.since(0)
	return lines
}

// since returns the lines from a place on, and a channel that is closed when another line is added.
func (t *Transcript) since(place int) ([]Line, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lines[place:len(t.lines):len(t.lines)], t.changed
}

// End returns the place of the next line: the number of lines so far.
func (t *Transcript) End() int { return len(t.Lines()) }

// Find returns the first lines from a place on that match. It waits until there are count of them,
// or until ctx ends.
func (t *Transcript) Find(ctx context.Context, place, count int, match func(Line) bool) ([]Line, error) {
	for {
		lines, changed := t.since(place)
		var found []Line
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
			return nil, fmt.Errorf("waiting for the output of a process: %w; the output is %q", ctx.Err(), lines)
		}
	}
}
