package main

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestRunPrintsEachLine(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out, []string{"-rounds", "1", "-round-time", "1ms"}); err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	want := []string{"name"}
	for _, c := range cases {
		want = append(want, c.names...)
	}
	if len(rows) != len(want) {
		t.Fatalf("%d rows, want %d:\n%s", len(rows), len(want), out.String())
	}
	for i, row := range rows {
		cells := strings.Fields(row)
		if len(row) != len(rows[0]) || len(cells) != 6 || cells[0] != want[i] {
			t.Errorf("row %q, want %s and five figures, as long as the header", row, want[i])
			continue
		}
		if i == 0 {
			continue
		}
		for _, cell := range cells[1:4] {
			if figure, err := strconv.ParseFloat(cell, 64); err != nil || figure <= 0 {
				t.Errorf("row %q has no positive figure in %q", row, cell)
			}
		}
	}
}

func TestRunSelectsLines(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out, []string{"-rounds", "1", "-round-time", "1ms", "-run", "decode|ratio"}); err != nil {
		t.Fatal(err)
	}
	var names []string
	for row := range strings.Lines(out.String()) {
		names = append(names, strings.Fields(row)[0])
	}
	if got, want := strings.Join(names, " "), "name codec-decode-ns pick-ratio"; got != want {
		t.Errorf("lines %q, want %q", got, want)
	}
}

func TestRunPrintsOtherCosts(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out, []string{"-rounds", "1", "-round-time", "1ms", "-run", "call-1k-1|pick-ratio", "-cost"}); err != nil {
		t.Fatal(err)
	}
	var names []string
	for row := range strings.Lines(out.String()) {
		names = append(names, strings.Fields(row)[0])
	}
	if got, want := strings.Join(names, " "), "name call-1k-1 cpu allocs bytes pick-ratio"; got != want {
		t.Errorf("lines %q, want %q", got, want)
	}
}

func TestRunRefuses(t *testing.T) {
	for _, args := range [][]string{{"-run", "("}, {"-run", "nothing"}, {"-rounds", "0"}} {
		var out bytes.Buffer
		if err := run(t.Context(), &out, args); err == nil || out.Len() > 0 {
			t.Errorf("run(%q) = %v, printed %q, want an error and no output", args, err, out.String())
		}
	}
}

func TestObserveLearnsTheSizes(t *testing.T) {
	server, err := oslorpc.Open(url, oslorpc.WithStopGrace(0))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := serve(t.Context(), server, "server", callEcho); err != nil {
		t.Fatal(err)
	}
	size, err := observe(t.Context(), callEcho)
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range map[string]int{"request": size.Request, "reply": size.Reply} {
		if n <= payloadSize || n > payloadSize+150 {
			t.Errorf("the %s has %d bytes, want %d and an envelope", name, n, payloadSize)
		}
	}
}

func TestPickDoesNotAllocate(t *testing.T) {
	for _, n := range []int{10, 10000} {
		w := pick(n)
		if allocated := testing.AllocsPerRun(10, func() {
			if err := w.Do(); err != nil {
				t.Error(err)
			}
		}); allocated > 0 {
			t.Errorf("%d picks from %d instances make %v allocations", batch, n, allocated)
		}
	}
}
