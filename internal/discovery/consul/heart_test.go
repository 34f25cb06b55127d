package consul

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/consultest"
)

func TestBetween(t *testing.T) {
	t.Parallel()
	start := time.Now()
	wall := start.Round(0)
	for name, test := range map[string]struct {
		end  time.Time
		want time.Duration
	}{
		"both clocks":         {start.Add(time.Minute), time.Minute},
		"only the wall clock": {wall.Add(time.Hour), time.Hour}, // a machine that was suspended
		"backwards":           {wall.Add(-time.Hour), -time.Hour},
	} {
		if got := between(start, test.end); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
}

// TestSilence has a process that could not beat for a while.
func TestSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []string
		h := &heart{
			publisher: &publisher{ttl: 15 * time.Second, lapsed: func(reason string) { told = append(told, reason) }}, lastBeat: time.Now(),
		}
		for _, pause := range []time.Duration{5 * time.Second, 14 * time.Second, 40 * time.Second, 5 * time.Second} {
			<-time.After(pause)
			h.arrived(time.Now())
		}
		if want := []string{"Consul had no sign of life for 40s, and takes a process for dead after 15s"}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

// TestReports makes Consul unreachable for several beats. The log says so once, and says once that
// Consul is back.
func TestReports(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := &heart{publisher: &publisher{log: slog.New(slog.NewTextHandler(&log, nil))}}
	for _, err := range []error{nil, errors.New("away"), errors.New("away"), nil, nil} {
		h.report(err)
	}
	var lines []string
	for line := range strings.Lines(log.String()) {
		_, said, _ := strings.Cut(strings.TrimSpace(line), " level=")
		lines = append(lines, said)
	}
	want := []string{
		`WARN msg="cannot renew the registration in Consul; trying again" error=away`,
		`INFO msg="Consul reachable again; registration renewed"`,
	}
	if !slices.Equal(lines, want) {
		t.Errorf("it logged %q, want %q", lines, want)
	}
}

// TestLostInstance deregisters an instance without its process.
func TestLostInstance(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	r := open(t, agent.URL())
	lapses := make(chan string, 10)
	r.Lapses(func(reason string) { lapses <- reason })
	one := instance("one")
	publish(t, r, one)
	publish(t, r, one)
	if len(lapses) != 0 {
		t.Errorf("lapsed already: %s", <-lapses)
	}
	must(t, r.client.deregister(t.Context(), registrationOf(t, r, one).ID))
	r.publisher.heart.look()
	if reason := <-lapses; reason != "Consul had lost the registration" {
		t.Errorf("lapsed because %s", reason)
	}
	w := watchCompute(t, r)
	w.list(one)
}
