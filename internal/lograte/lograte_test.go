package lograte

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// written collects the output of a logger. At the end of an interval, a separate goroutine writes.
type written struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *written) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(b)
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func (w *written) Reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Reset()
}

func (w *written) Len() int { return len(w.String()) }

// newLog returns a limited logger and its output.
func newLog(level slog.Level) (*slog.Logger, *written) {
	var text written
	return New(slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: level}))), &text
}

func TestEqualLinesAreLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, text := newLog(slog.LevelInfo)
		for n := range 1000 {
			log.Error("method failed", "server", "s1", "method", "m", "error", fmt.Sprint("attempt ", n))
		}
		log.Error("method failed", "server", "s1", "method", "other")
		log.Error("method failed", "server", "s2", "method", "m")
		log.Warn("cast lost", "method", "m")
		if got := strings.Count(text.String(), "\n"); got != Burst+3 {
			t.Errorf("%d lines:\n%s", got, text)
		}
		text.Reset()
		time.Sleep(Interval)
		synctest.Wait()
		if got := text.String(); strings.Count(got, "\n") != 1 ||
			!strings.Contains(got, `level=ERROR msg="method failed" left_out=995 within=10s server=s1 method=m`) {
			t.Errorf("at the end of the interval: %s", got)
		}
		text.Reset()
		log.Error("method failed", "server", "s1", "method", "m")
		if strings.Count(text.String(), "\n") != 1 {
			t.Errorf("in the next interval: %s", text)
		}
		text.Reset()
		time.Sleep(Interval)
		synctest.Wait()
		if text.Len() > 0 {
			t.Errorf("nothing was left out: %s", text)
		}
	})
}

// A peer that chooses a new name for each line can fill neither the log nor the memory.
func TestKindsOfLinesAreLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, text := newLog(slog.LevelInfo)
		for n := range 100 * maxKinds {
			log.Error("method failed", "method", fmt.Sprint("m", n))
		}
		if got := strings.Count(text.String(), "\n"); got > maxKinds+Burst {
			t.Errorf("%d lines", got)
		}
		text.Reset()
		time.Sleep(Interval)
		synctest.Wait()
		if want := fmt.Sprintf("left_out=%d", 99*maxKinds-Burst); !strings.Contains(text.String(), want) {
			t.Errorf("want %s in %s", want, text)
		}
	})
}

func TestQuietLinesAreNotLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, text := newLog(slog.LevelDebug)
		log = log.With("a", "b").WithGroup("g")
		for range 100 {
			log.Debug("method failed", "method", "m")
			log.Info("loud", "method", "m")
		}
		if got := strings.Count(text.String(), "\n"); got != 100+Burst || !strings.Contains(text.String(), "a=b g.method=m") {
			t.Errorf("%d lines", got)
		}
		time.Sleep(Interval)
		synctest.Wait()
	})
}
