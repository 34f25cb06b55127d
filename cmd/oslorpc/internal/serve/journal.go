package serve

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

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/instances"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// journal writes the events of a demo server to standard output, one per line.
type journal struct {
	program *cli.Program
	quiet   bool
	mu      sync.Mutex // held while a line is written
}

// EntryDocument is a message that the server ran, for programs.
type EntryDocument struct {
	Event        string    `json:"event"`
	Time         time.Time `json:"time"`
	Method       string    `json:"method"`
	Arguments    any       `json:"arguments"`
	Result       any       `json:"result"`
	Error        string    `json:"error,omitempty"`
	Milliseconds float64   `json:"milliseconds"`
}

// ReadyDocument says that the server is ready, for programs.
type ReadyDocument struct {
	Event     string `json:"event"`
	ProcessID int    `json:"process_id"`
	instances.Document
}

// ready writes that the server is ready.
func (j *journal) ready(i oslorpc.Instance) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.program.JSON() {
		j.write(ReadyDocument{"ready", os.Getpid(), instances.NewDocument(i)})
		return
	}
	fmt.Fprintf(j.program.Out, "ready: server %s on topic %s at %s, process %d\n",
		cli.OneLine(i.Server), cli.OneLine(i.Topic), cli.OneLine(i.Addr), os.Getpid())
}

// stopping writes that the server stops.
func (j *journal) stopping() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.program.JSON() {
		j.write(map[string]string{"event": "stopping"})
		return
	}
	fmt.Fprintln(j.program.Out, "stopping: new messages go elsewhere; another signal ends at once")
}

// ran writes that a message ran. Arguments and result must be encodable as JSON.
func (j *journal) ran(ctx context.Context, args, result any, err error, took time.Duration) {
	if j.quiet {
		return
	}
	e := EntryDocument{
		Event: "ran", Time: time.Now(), Method: oslorpc.MessageFrom(ctx).Method, Arguments: args, Result: result,
		Milliseconds: float64(took) / float64(time.Millisecond),
	}
	if err != nil {
		e.Error, e.Result = err.Error(), nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.program.JSON() {
		j.write(e)
		return
	}
	fmt.Fprintln(j.program.Out, e.text())
}

// write writes a document. It ignores errors: if standard output fails, the server must still serve
// messages.
func (j *journal) write(v any) { _ = cli.WriteJSON(j.program.Out, v) }

// text returns the entry on one line.
func (e *EntryDocument) text() string {
	outcome := "-> " + brief(e.Result)
	if e.Error != "" {
		outcome = "failed: " + cut(cli.OneLine(e.Error))
	}
	return fmt.Sprintf("%s  %s %s %s (%.1f ms)", e.Time.Format(time.TimeOnly), e.Method, brief(e.Arguments), outcome, e.Milliseconds)
}

// brief returns the beginning of a value as JSON.
func brief(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return cli.OneLine(cut(string(text)))
}

// maxBrief bounds how much of a message a line repeats.
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

// recorded makes a method from f that writes a journal entry for each run.
func recorded[A, R any](j *journal, f func(context.Context, A) (R, error)) func(context.Context, A) (R, error) {
	return func(ctx context.Context, args A) (R, error) {
		start := time.Now()
		result, err := f(ctx, args)
		j.ran(ctx, &args, result, err, time.Since(start))
		return result, err
	}
}

// recordedStream makes a streaming method from f that writes a journal entry at the end of each
// run.
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
