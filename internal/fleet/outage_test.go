package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/carrier/grpccarrier"
	"github.com/oslorpc/oslorpc/pkg/registry"
)

// An outage of the registry is one line in the log, and so is its end, however many topics there
// are.
func TestOutageIsOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r, pool := &handle{}, grpccarrier.New(grpccarrier.Config{})
		defer pool.Close()
		f := New(r, pool, "", slog.New(slog.NewTextHandler(&log, nil)))
		defer f.Close()
		for n := range 300 {
			f.Topic(registry.Topic{Exchange: "openstack", Name: fmt.Sprint(n)})
		}
		all := func(pause time.Duration, u registry.Update) {
			for _, topic := range r.watched() {
				r.watches[topic](u)
				<-time.After(pause)
			}
			<-time.After(time.Minute)
			synctest.Wait()
		}
		expect := func(what string, want ...string) {
			t.Helper()
			text := log.String()
			log.Reset()
			if strings.Count(text, "\n") != min(len(want), 1) {
				t.Errorf("%s: logged, where one line at most was wanted:\n%s", what, text)
			}
			for _, part := range want {
				if !strings.Contains(text, part) {
					t.Errorf("%s: logged %s, want %q in it", what, text, part)
				}
			}
		}
		down, up := registry.Update{Err: errors.New("away")}, registry.Update{}
		all(time.Millisecond, up)
		expect("a start")
		all(time.Millisecond, down)
		expect("an outage", "level=WARN", "stay in use", "topics=300", "away")
		all(time.Millisecond, down)
		expect("its going on")
		all(time.Millisecond, up)
		expect("its end", "level=INFO", "again", "topics=300")
		f.Topic(registry.Topic{Exchange: "openstack", Name: "new"})
		all(time.Millisecond, down)
		expect("an outage with a new topic", "level=WARN", "topics=301", "unknown=1")
	})
}

// stuck is a log whose reader hangs.
type stuck struct {
	slog.Handler

	free chan struct{}
}

func (s stuck) Handle(context.Context, slog.Record) error {
	<-s.free
	return nil
}

// TestLogThatHangs checks that a hanging log does not block messages.
func TestLogThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := stuck{slog.NewTextHandler(&bytes.Buffer{}, nil), make(chan struct{})}
		defer close(log.free)
		o := newOutages(slog.New(log))
		o.fail(registry.Topic{Name: "a"}, outage{err: errors.New("away")})
		<-time.After(2 * gatherTime)
		done := make(chan struct{})
		go func() {
			defer close(done)
			o.recover(registry.Topic{Name: "a"})
			o.close()
		}()
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Fatal("a topic waits for the log")
		}
	})
}
