package host

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/phase"
)

// listening returns a run whose program wants to know about missed messages.
func listening(log *slog.Logger) *run {
	return &run{
		phase: phase.Opened(), log: log, began: time.Now(), reasons: make(chan string, 1), reports: make(chan string, 1),
	}
}

// Each report may cause a full synchronization. A sender that sends a thousand reports within the
// interval causes two synchronizations: one at once, and one for all other reports.
func TestReportsOfSendersAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := listening(slog.New(slog.DiscardHandler))
		var reports, reasons int
		var l listeners
		l.add(r, func(_ context.Context, reason string) {
			if strings.HasPrefix(reason, "a sender") {
				reports++
			} else {
				reasons++
			}
		})
		time.Sleep(time.Minute)
		for range 1000 {
			r.undelivered(time.Second)
			synctest.Wait()
		}
		if reports != 1 {
			t.Errorf("told of %d reports at once", reports)
		}
		l.tell("lapsed")
		synctest.Wait()
		if reasons != 1 {
			t.Error("what the process itself noticed waits for reports")
		}
		time.Sleep(missedInterval)
		synctest.Wait()
		if reports != 2 {
			t.Errorf("told of %d reports after the interval", reports)
		}
		time.Sleep(10 * missedInterval)
		r.undelivered(time.Second)
		synctest.Wait()
		if reports != 3 {
			t.Errorf("told of %d reports after a silence", reports)
		}
		r.phase.Leave()
		synctest.Wait()
	})
}

// lines receives the texts that a logger writes.
type lines chan string

func (l lines) Write(text []byte) (int, error) {
	l <- string(text)
	return len(text), nil
}

func TestMissedMessagesFunctionThatPanics(t *testing.T) {
	logged := make(lines, 3)
	r := listening(slog.New(slog.NewTextHandler(logged, nil)))
	defer r.phase.Leave()
	var l listeners
	l.add(r, func(context.Context, string) { panic("no database") })
	for range 3 {
		l.tell("lost")
		if text := <-logged; !strings.Contains(text, "no database") || !strings.Contains(text, "WithMissedMessages") {
			t.Errorf("logged %q", text)
		}
	}
}
