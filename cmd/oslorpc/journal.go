package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// journal writes what a demo server does to standard output, a line for each thing.
type journal struct {
	program *program
	quiet   bool
	mu      sync.Mutex // a line is written at once
}

// entry is a message that was run, for programs.
type entry struct {
	Event        string    `json:"event"`
	Time         time.Time `json:"time"`
	Method       string    `json:"method"`
	Arguments    any       `json:"arguments"`
	Result       any       `json:"result"`
	Error        string    `json:"error,omitempty"`
	Milliseconds float64   `json:"milliseconds"`
}

// readyDocument says for programs that the server can be reached.
type readyDocument struct {
	Event     string `json:"event"`
	ProcessID int    `json:"process_id"`
	instanceDocument
}

// ready writes that the server can be reached.
func (j *journal) ready(i oslorpc.Instance) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.program.inJSON() {
		j.write(readyDocument{"ready", os.Getpid(), newInstanceDocument(i)})
		return
	}
	fmt.Fprintf(j.program.out, "ready: server %s on topic %s at %s, process %d\n",
		oneLine(i.Server), oneLine(i.Topic), oneLine(i.Addr), os.Getpid())
}

// stopping writes that the server was asked to end.
func (j *journal) stopping() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.program.inJSON() {
		j.write(map[string]string{"event": "stopping"})
		return
	}
	fmt.Fprintln(j.program.out, "stopping: new messages go elsewhere; another signal ends at once")
}

// ran writes that a message was run. Arguments and result are what can be JSON.
func (j *journal) ran(ctx context.Context, args, result any, err error, took time.Duration) {
	if j.quiet {
		return
	}
	e := entry{
		Event: "ran", Time: time.Now(), Method: oslorpc.MessageFrom(ctx).Method, Arguments: args, Result: result, Milliseconds: milliseconds(took),
	}
	if err != nil {
		e.Error, e.Result = err.Error(), nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.program.inJSON() {
		j.write(e)
		return
	}
	fmt.Fprintln(j.program.out, e.text())
}

// write writes a document. When standard output is gone, the server goes on: its messages matter more.
func (j *journal) write(v any) { _ = writeJSON(j.program.out, v) }

// text returns the entry on one line.
func (e *entry) text() string {
	outcome := "-> " + brief(e.Result)
	if e.Error != "" {
		outcome = "failed: " + cut(oneLine(e.Error))
	}
	return fmt.Sprintf("%s  %s %s %s (%.1f ms)", e.Time.Format(time.TimeOnly), e.Method, brief(e.Arguments), outcome, e.Milliseconds)
}

// brief returns the beginning of a value as JSON.
func brief(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return oneLine(cut(string(text)))
}

// maxBrief bounds what a line repeats of a message.
const maxBrief = 100

func cut(s string) string {
	if len(s) <= maxBrief {
		return s
	}
	end := maxBrief
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

// recorded returns f, with each run written to the journal.
func recorded[A, R any](j *journal, f func(context.Context, A) (R, error)) func(context.Context, A) (R, error) {
	return func(ctx context.Context, args A) (R, error) {
		start := time.Now()
		result, err := f(ctx, args)
		j.ran(ctx, &args, result, err, time.Since(start))
		return result, err
	}
}

// recordedStream returns f, with each run written to the journal when it ends.
func recordedStream[A, T any](j *journal, f func(context.Context, A) iter.Seq2[T, error]) func(context.Context, A) iter.Seq2[T, error] {
	return func(ctx context.Context, args A) iter.Seq2[T, error] {
		return func(yield func(T, error) bool) {
			start, items := time.Now(), 0
			var failure error
			defer func() {
				j.ran(ctx, &args, map[string]int{"items": items}, failure, time.Since(start))
			}()
			for item, err := range f(ctx, args) {
				failure = err
				if !yield(item, err) {
					failure = cmp.Or(err, ctx.Err()) // the caller left
					return
				}
				items++
			}
		}
	}
}
