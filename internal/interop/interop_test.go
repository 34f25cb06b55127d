package interop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/interop/program"
	"github.com/oslorpc/oslorpc/internal/interop/wire"
	"github.com/oslorpc/oslorpc/internal/leak"
)

// The test binary is also the program of Go.
func TestMain(m *testing.M) {
	var err error
	switch args := os.Args[1:]; {
	case len(args) == 2 && args[0] == "client":
		err = program.Ask(context.Background(), args[1])
	case len(args) == 2 && args[0] == "gateway":
		err = program.Relay(context.Background(), args[1])
	case len(args) == 4 && args[0] == "server":
		err = program.Serve(context.Background(), args[1], args[2], args[3])
	default:
		leak.Main(m)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// This test checks Go with Go, including servers that attach to a gateway and clients that use one,
// without a Consul agent and without the calls that take a minute. `make interop` runs the rest.
func TestGoWithGo(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var cells []Cell
	for _, c := range Cells(Languages(Programs{Go: self})) {
		gos := c.Client.Short == "go" && c.Server.Short == "ago" || (c.Client.Short == "go" || c.Client.Short == "ggo") && c.Server.Short == "go"
		if gos && !c.Case.long {
			cells = append(cells, c)
		}
	}
	results, err := Run(t.Context(), "local://"+t.TempDir()+"/registry", cells)
	if err != nil {
		t.Error(err)
	}
	if len(results) != 3*(len(Cases())-1) {
		t.Errorf("there are %d results", len(results))
	}
	for _, r := range results {
		if r.Err != nil || r.Gap != "" {
			t.Errorf("%v: %v %s", r.Cell, r.Err, r.Gap)
		}
	}
}

func TestPrint(t *testing.T) {
	one := &Language{Name: "Go", Short: "go", server: Languages(Programs{})[0].server}
	other := &Language{Name: "Python", Short: blocking}
	var out strings.Builder
	ok := Print(&out, []Result{
		{Cell: Cell{Case{Name: "call"}, one, one}},
		{Cell: Cell{Case{Name: "call"}, other, one}, Err: errors.New("it does not answer")},
		{Cell: Cell{Case{Name: "cancellation"}, one, one}, Gap: "the library cannot"},
		{Cell: Cell{Case{Name: "cancellation"}, other, one}},
	}, 61400*time.Millisecond)
	const want = `server                          Go
client                          go    py
-------------------------------------------
call                            ok    FAIL
cancellation                    (a)   ok(b)

(a)  the library cannot
(b)  a call that blocks a thread cannot be canceled: the cell cancels only a multicall

FAIL call, py to go: it does not answer

1 cells cannot exist, in 1m1s
2 passed, 1 failed
`
	var got strings.Builder
	for line := range strings.Lines(out.String()) {
		got.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	if ok || got.String() != want {
		t.Errorf("ok is %v, and it prints\n%s", ok, got.String())
	}
	if !Print(&out, []Result{{Cell: Cell{Case{Name: "call"}, one, one}}}, time.Second) {
		t.Error("a run without a failure is not ok")
	}
}

// A reason for a cell that does not exist would explain nothing.
func TestGapsNameCells(t *testing.T) {
	for _, g := range append(append([]gap{}, gaps...), remarks...) {
		fits := false
		for _, c := range Cells(Languages(Programs{})) {
			fits = fits || g.fits(c)
		}
		if !fits || g.why == "" {
			t.Errorf("no cell matches %+v", g)
		}
	}
}

func TestSame(t *testing.T) {
	for _, test := range []struct {
		one, other string
		want       bool
	}{
		{`{"a":1,"b":[2]}`, `{"b": [2], "a": 1}`, true},
		{`9007199254740993`, `9007199254740992`, false},
		{`1`, `1.0`, false},
		{`"\u00e9"`, `"é"`, true},
		{`null`, ``, false},
		{`[1,2]`, `[2,1]`, false},
	} {
		if got := same([]byte(test.one), []byte(test.other)); got != test.want {
			t.Errorf("same(%s, %s) is %v", test.one, test.other, got)
		}
	}
}

// A reply that differs in anything that a case expects is a failure.
func TestFailed(t *testing.T) {
	right := func() *wire.Error {
		return &wire.Error{
			Kind: "Remote", Server: "a", Message: "m", Type: "t", Text: "x", Hops: []string{"a"}, Class: "C", Port: 7,
		}
	}
	c := &cell{of: Cell{Client: &Language{}}}
	want := *right()
	if err := c.failed("it", &wire.Reply{Error: right()}, want); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(e *wire.Error){
		"kind":    func(e *wire.Error) { e.Kind = "Timeout" },
		"safe":    func(e *wire.Error) { e.Safe = true },
		"server":  func(e *wire.Error) { e.Server = "b" },
		"message": func(e *wire.Error) { e.Message = "" },
		"type":    func(e *wire.Error) { e.Type = "" },
		"text":    func(e *wire.Error) { e.Text = "y" },
		"hops":    func(e *wire.Error) { e.Hops = nil },
		"class":   func(e *wire.Error) { e.Class = "" },
		"port":    func(e *wire.Error) { e.Port = 0 },
	} {
		got := right()
		change(got)
		if c.failed("it", &wire.Reply{Error: got}, want) == nil {
			t.Errorf("another %s is accepted", name)
		}
	}
	if c.failed("it", &wire.Reply{Result: []byte("1")}, want) == nil {
		t.Error("a result is accepted in place of an error")
	}
}

// A server that runs a message twice, or a client that prints invalid replies, fails a cell.
func TestOnceMore(t *testing.T) {
	s := &server{short: "a", events: map[wire.Event]int{}, changed: make(chan struct{})}
	c := &cell{run: &run{}}
	n := c.newNote(1, servers{s})
	line := []byte(`{"event":"ran","note":"` + n + `"}`)
	for range 2 {
		if err := s.take(line); err != nil {
			t.Fatal(err)
		}
		if got := c.onceMore(); (got != nil) != (len(servers{s}.ran(n)) == 2) {
			t.Errorf("after %v: %v", servers{s}.ran(n), got)
		}
	}
	if s.take([]byte("Traceback")) == nil {
		t.Error("a line that is not an event is accepted")
	}
}
