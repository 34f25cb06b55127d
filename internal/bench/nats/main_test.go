package main

import (
	"bytes"
	"strings"
	"testing"
)

// Each case has a line for each side that has its operation.
func TestRunPrintsEachSide(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out, []string{"-rounds", "1", "-round-time", "1ms", "-run", "call-1k-1|cast|fanout-64|p99"}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for row := range strings.Lines(out.String()) {
		cells := strings.Fields(row)
		got = append(got, cells[0]+" "+cells[1])
	}
	want := "case side, call-1k-1 raw, call-1k-1 unary, call-1k-1 session, call-1k-1 nats, cast-1k-64 raw, cast-1k-64 unary, cast-1k-64 session, " +
		"fanout-64 raw, fanout-64 unary, fanout-64 session, fanout-64 nats, fanout-64 streams, fanout-64 tcp, p99 raw, p99 raw-apart, p99 tcp, p99 unary, p99 session, p99 copying"
	if lines := strings.Join(got, ", "); lines != want {
		t.Errorf("the lines are\n%s, want\n%s", lines, want)
	}
}

func TestRunRefuses(t *testing.T) {
	for _, args := range [][]string{{"-run", "("}, {"-what"}} {
		if err := run(t.Context(), &bytes.Buffer{}, args); err == nil {
			t.Errorf("run(%q) = nil, want an error", args)
		}
	}
}
