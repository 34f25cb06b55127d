// Package lograte keeps peers from filling a log. Of lines with the same message about the same
// method, it writes the first few in each interval, and then how many it omitted.
package lograte

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// Interval is the period over which equal lines are counted.
	Interval = 10 * time.Second
	// Burst is how many equal lines are written in an interval.
	Burst = 5
	// maxKinds bounds the kinds of lines that are counted separately, because peers choose some
	// names.
	maxKinds = 1000
)

// Lines with the same message and the same values of these attributes are equal.
const (
	serverKey = "server"
	methodKey = "method"
)

// New returns a logger that writes to the handler of another logger, within the limits. Lines below
// the level Info are not limited, since operators enable these levels to see everything.
func New(log *slog.Logger) *slog.Logger {
	return slog.New(&handler{Handler: log.Handler(), limiter: &limiter{open: map[kind]*window{}}})
}

// handler limits the lines that reach another handler.
type handler struct {
	slog.Handler
	limiter *limiter
}

// Handle implements [slog.Handler].
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelInfo || h.limiter.takes(h.Handler, r) { //nolint:contextcheck // The end of the interval does not belong to the operation.
		return h.Handler.Handle(ctx, r)
	}
	return nil
}

// WithAttrs implements [slog.Handler].
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.Handler.WithAttrs(attrs), h.limiter}
}

// WithGroup implements [slog.Handler].
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.Handler.WithGroup(name), h.limiter}
}

// kind is the common part of equal lines.
type kind struct{ message, server, method string }

func kindOf(r slog.Record) kind {
	k := kind{message: r.Message}
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case serverKey:
			k.server = a.Value.String()
		case methodKey:
			k.method = a.Value.String()
		}
		return true
	})
	return k
}

// limiter counts lines by their kind.
type limiter struct {
	mu   sync.Mutex
	open map[kind]*window
}

// window counts the lines of a kind in an interval.
type window struct {
	level            slog.Level
	written, leftOut int
}

// takes counts a line, and reports whether to write it. At the end of the interval the handler
// writes how many lines were omitted.
func (l *limiter) takes(to slog.Handler, r slog.Record) bool {
	k := kindOf(r)
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.open[k]
	if w == nil && len(l.open) >= maxKinds {
		k.server, k.method = "", ""
		w = l.open[k]
	}
	if w == nil {
		w = &window{}
		l.open[k] = w
		time.AfterFunc(Interval, func() { l.end(to, k) })
	}
	w.level = max(w.level, r.Level)
	if w.written < Burst {
		w.written++
		return true
	}
	w.leftOut++
	return false
}

// end ends an interval.
func (l *limiter) end(to slog.Handler, k kind) {
	l.mu.Lock()
	w := l.open[k]
	delete(l.open, k)
	l.mu.Unlock()
	if w.leftOut == 0 {
		return
	}
	r := slog.NewRecord(time.Now(), w.level, k.message, 0)
	r.AddAttrs(slog.Int("left_out", w.leftOut), slog.Duration("within", Interval))
	if k.server != "" {
		r.AddAttrs(slog.String(serverKey, k.server))
	}
	if k.method != "" {
		r.AddAttrs(slog.String(methodKey, k.method))
	}
	_ = to.Handle(context.Background(), r) // a logger has no place for errors
}
