package cuts

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/lab/check"
	"github.com/oslorpc/oslorpc/internal/lab/history"
	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

var seedFlag = flag.Uint64("seed", 0, "repeat the run of this seed; 0 for a new one")

func TestMain(m *testing.M) {
	if process, is := os.LookupEnv(processVariable); is {
		if err := serveAsProcess(process); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	leak.Main(m)
}

const (
	messages = 10_000
	callers  = 32
	// deadline limits a message. A living server is reachable again long before.
	deadline = 40 * time.Second
	// maxLength is the maximum time that a method takes.
	maxLength = 4 * time.Millisecond
	// maxLife is the maximum time before a server is killed.
	maxLife = 2 * time.Second
)

// carriers are the carriers of the messages. A carrier that asks for outcomes leaves none unknown
// while the server lives.
var carriers = []struct {
	name string
	asks bool
}{
	{"unary", false},
	{"session", true},
}

func TestCuts(t *testing.T) {
	for _, c := range carriers {
		t.Run(c.name, func(t *testing.T) {
			r := newRun(t)
			addr, server, err := serve(t.Context(), r.out, "server")
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := server.Close(); err != nil {
					t.Error(err)
				}
			}()
			r.proxy.lead(addr)
			r.load(t, c.name)
			r.verify(t, c.asks)
		})
	}
}

func TestCutsAndKills(t *testing.T) {
	for _, c := range carriers {
		t.Run(c.name, func(t *testing.T) {
			r := newRun(t)
			over := make(chan struct{})
			var killing sync.WaitGroup
			first, err := startChild(t.Context(), r.dir, "server-0")
			if err != nil {
				t.Fatal(err)
			}
			r.proxy.lead(first.addr)
			killing.Go(func() { r.kill(t, first, over) })
			r.load(t, c.name)
			close(over)
			killing.Wait()
			r.verify(t, c.asks)
		})
	}
}

// run is one run, with its history and its random decisions.
type run struct {
	seed  uint64
	dir   string
	out   *history.Writer // of the test itself
	proxy *proxy
}

func newRun(t *testing.T) *run {
	t.Helper()
	r := &run{seed: *seedFlag, dir: t.TempDir()}
	if r.seed == 0 {
		r.seed = rand.Uint64()
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("repeat it with -seed %d", r.seed)
		}
	})
	var err error
	if r.out, err = history.Create(r.dir, "test"); err != nil {
		t.Fatal(err)
	}
	r.proxy = newProxy(t, r.seed)
	return r
}

// kill kills the server again and again and replaces it, until the load is over.
func (r *run) kill(t *testing.T, c *child, over <-chan struct{}) {
	t.Helper()
	random := rand.New(rand.NewPCG(r.seed, 1))
	for n := 1; ; n++ {
		life := time.NewTimer(maxLife/4 + time.Duration(random.Int64N(int64(maxLife*3/4))))
		select {
		case <-over:
			life.Stop()
			c.kill(r.out)
			return
		case <-life.C:
		}
		c.kill(r.out)
		var err error
		if c, err = startChild(t.Context(), r.dir, fmt.Sprintf("server-%d", n)); err != nil {
			t.Error(err)
			return
		}
		r.proxy.lead(c.addr)
	}
}

// load sends all messages while connections are cut, and records the outcome of each.
func (r *run) load(t *testing.T, carrier string) {
	t.Helper()
	transport, err := oslorpc.Open("static://"+topic+"="+r.proxy.addr()+"?carrier="+carrier, oslorpc.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := transport.Close(); err != nil {
			t.Error(err)
		}
	}()
	client := transport.Client(oslorpc.Target{Topic: topic, Version: version}, oslorpc.WithTimeout(deadline))
	monitored := transport.Client(oslorpc.Target{Topic: topic, Version: version},
		oslorpc.WithTimeout(deadline), oslorpc.WithCallMonitorTimeout(deadline/2))
	r.warmUp(t, client)
	r.proxy.setGentle(false)
	var next atomic.Int64
	var calling sync.WaitGroup
	for i := range callers {
		calling.Go(func() {
			random := rand.New(rand.NewPCG(r.seed, uint64(2+i)))
			for n := next.Add(1); n <= messages; n = next.Add(1) {
				op := &history.Operation{Form: history.Call, Client: carrier, Topic: topic}
				by := client
				switch n % 8 {
				case 0:
					op.Form, by = history.Monitored, monitored
				case 1:
					op.Form = history.Cast
				}
				op.ID = fmt.Sprintf("%s/%d", op.Form, n)
				r.send(by, op, time.Duration(random.Int64N(int64(maxLength))))
			}
		})
	}
	calling.Wait()
	r.proxy.setGentle(true)
}

// warmUp makes calls until there is a session, if the carrier has sessions. The first messages do
// not wait for the session, so the client could not ask for their outcomes.
func (r *run) warmUp(t *testing.T, client *oslorpc.Client) {
	t.Helper()
	for i := range 50 {
		j := job{ID: fmt.Sprintf("%s/0-%d", history.Call, i), Length: maxLength}
		if _, err := oslorpc.Call[string](t.Context(), client, method, j); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *run) send(client *oslorpc.Client, op *history.Operation, length time.Duration) {
	op.Begin = time.Now()
	op.Deadline = op.Begin.Add(deadline)
	ctx, j := context.Background(), job{op.ID, length}
	var err error
	if op.Form == history.Cast {
		err = client.Cast(ctx, method, j)
	} else {
		op.Instance, err = oslorpc.Call[string](ctx, client, method, j)
	}
	op.End, op.OK = time.Now(), err == nil
	if err != nil {
		op.Kind, op.Error, op.Safe = oslorpc.KindOf(err).Name(), err.Error(), oslorpc.SafeToRetry(err)
	}
	r.out.Write(history.Record{Operation: op})
}

// promised are the promises that must hold although connections are cut and servers are killed.
var promised = []string{check.AtMostOnce, check.ExactlyOnce, check.NeverRan, check.CastRan, check.Deadline}

// verify checks the history. Asks says whether the client asks servers for the outcomes of
// messages.
func (r *run) verify(t *testing.T, asks bool) {
	t.Helper()
	h := r.read(t)
	for _, v := range check.Check(h, check.Default) {
		if slices.Contains(promised, v.Promise) {
			t.Errorf("%s: %v: %s", v.Promise, v.IDs, v.Text)
		}
	}
	if n := len(h.Operations); n != messages {
		t.Errorf("%d messages ended, want %d", n, messages)
	}
	kinds := map[string]int{}
	for _, op := range h.Operations {
		kinds[op.Kind]++
		switch {
		case op.OK:
		case op.Kind != "OutcomeUnknown":
			t.Errorf("%s failed, although the server was back before the deadline: %s", op.ID, op.Error)
		case asks && !diedMeanwhile(h, op):
			t.Errorf("%s has an unknown outcome, although the server was not killed: %s", op.ID, op.Error)
		}
	}
	var cuts []string
	for w, n := range r.proxy.cuts {
		cuts = append(cuts, fmt.Sprintf("%d %s", n, way(w)))
		if n == 0 {
			t.Errorf("no connection was cut in this way: %s", way(w))
		}
	}
	t.Logf("%d messages, %d with an unknown outcome, of which %d had run; cuts: %s; %d executions",
		len(h.Operations), kinds["OutcomeUnknown"], unknownThatRan(h), strings.Join(cuts, ", "), len(h.Executions))
}

// unknownThatRan counts the messages with an unknown outcome that ran on a server.
func unknownThatRan(h *history.History) (n int) {
	ran := map[string]bool{}
	for _, e := range h.Executions {
		ran[e.ID] = true
	}
	for _, op := range h.Operations {
		if op.Kind == "OutcomeUnknown" && ran[op.ID] {
			n++
		}
	}
	return n
}

// diedMeanwhile reports whether a server that may have had the message was killed: the client sent
// the message before it noticed the end of the connection, and did not know the result. The client
// cannot know which of its outstanding messages had arrived when the process died.
func diedMeanwhile(h *history.History, op *history.Operation) bool {
	return slices.ContainsFunc(h.Events, func(e *history.Event) bool {
		return e.What == history.Killed && !e.At.Add(check.Default.Noticed).Before(op.Begin) && !e.At.After(op.End)
	})
}

// read reads the history when all accepted casts that can run have run.
func (r *run) read(t *testing.T) *history.History {
	t.Helper()
	for end := time.Now().Add(check.Default.Queued); ; time.Sleep(50 * time.Millisecond) {
		h, err := history.Read(r.dir)
		if err != nil {
			t.Fatal(err)
		}
		if lost := slices.ContainsFunc(check.Check(h, check.Default), func(v history.Violation) bool { return v.Promise == check.CastRan }); !lost || time.Now().After(end) {
			return h
		}
	}
}
