//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// newConsulFleet is like newFleet, with a real Consul.
func newConsulFleet(t *testing.T) *fleet {
	t.Helper()
	f := newFleet(t)
	f.url = consultest.Start(t).URL()
	return f
}

// gateway starts a gateway and returns when it is ready.
func (f *fleet) gateway(name, addr string, more ...string) *process {
	f.t.Helper()
	before := len(f.output.Lines())
	p := f.start(name, append([]string{"gateway", "--server", name, "--listen", addr}, more...)...)
	eventually(f.t, patient, name+" is ready", func() bool {
		for _, l := range f.output.Lines()[before:] {
			if l.By == name && strings.Contains(l.Text, "is ready at") {
				return true
			}
		}
		select {
		case <-p.exited:
			f.t.Fatalf("%s ended: %v", name, f.output.Lines()[before:])
		default:
		}
		return false
	})
	return p
}

// freeAddr returns an address that was free a moment ago.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// open opens a transport of a test.
func openAt(t *testing.T, url string, options ...oslorpc.TransportOption) *oslorpc.Transport {
	t.Helper()
	transport, err := oslorpc.Open(url, append(options, oslorpc.WithLogger(slog.New(slog.DiscardHandler)))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = transport.Close() })
	return transport
}

// ledger counts how often each message ran.
type ledger struct {
	mu   sync.Mutex
	runs map[int64]int
}

type entry struct {
	Number int64 `json:"number"`
}

func (l *ledger) run(_ context.Context, e entry) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs[e.Number]++
	return e.Number, nil
}

// ran returns how often a message ran.
func (l *ledger) ran(number int64) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.runs[number]
}

// told is what the senders of messages learned.
type told struct {
	// last is the number of the last message. Ended is how many messages have ended.
	last, ended atomic.Int64

	mu   sync.Mutex
	errs map[int64]error // nil for those that succeeded
}

// send sends calls and casts until ctx ends.
func (s *told) send(ctx context.Context, t *testing.T, c *oslorpc.Client) {
	for ctx.Err() == nil {
		number := s.last.Add(1)
		bounded, cancel := context.WithTimeout(context.Background(), patient)
		var err error
		if number%2 == 0 {
			err = c.Cast(bounded, "run", entry{number})
		} else {
			_, err = oslorpc.Call[int64](bounded, c, "run", entry{number})
		}
		if bounded.Err() != nil {
			t.Errorf("message %d did not end in time: %v", number, err)
		}
		cancel()
		s.mu.Lock()
		s.errs[number] = err
		s.mu.Unlock()
		s.ended.Add(1)
	}
}

// more waits until n more messages have ended.
func (s *told) more(t *testing.T, n int64) {
	t.Helper()
	goal := s.ended.Load() + n
	eventually(t, patient, "messages go on", func() bool { return s.ended.Load() >= goal })
}

// check compares what the senders learned with the messages that ran.
func (s *told) check(t *testing.T, l *ledger) {
	t.Helper()
	unknown := 0
	for number, err := range s.errs {
		switch {
		case err == nil:
			if number%2 == 0 { // a cast runs after it was accepted
				eventually(t, patient, fmt.Sprintf("the accepted cast %d runs", number), func() bool { return l.ran(number) > 0 })
			}
			if n := l.ran(number); n != 1 {
				t.Errorf("message %d succeeded, and ran %d times", number, n)
			}
		case l.ran(number) > 1:
			t.Errorf("message %d ran %d times", number, l.ran(number))
		case oslorpc.KindOf(err) != oslorpc.OutcomeUnknown:
			t.Errorf("message %d failed: %v", number, err)
		default:
			unknown++
		}
	}
	t.Logf("%d messages, %d of them with an unknown outcome", len(s.errs), unknown)
	if most := 4 * 32; unknown > most { // each caller has one message at a gateway that is killed
		t.Errorf("%d outcomes are unknown of %d messages, want at most %d", unknown, len(s.errs), most)
	}
}

// TestTwoGatewaysAndSignals has 32 callers that send calls and casts through two gateways. Each
// gateway is killed, restarted and drained, twice. No accepted cast is lost, nothing runs twice,
// and each message ends in time. Only messages that a gateway had when it was killed may fail.
func TestTwoGatewaysAndSignals(t *testing.T) {
	t.Parallel()
	f := newConsulFleet(t)
	l := &ledger{runs: map[int64]int{}}
	for _, name := range []string{"a", "b"} {
		server := openAt(t, f.url, oslorpc.WithListen("127.0.0.1:0")).Server(oslorpc.Target{Topic: "ledger", Server: name})
		server.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"run": oslorpc.Func(l.run)}})
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	addrs := []string{freeAddr(t), freeAddr(t)}
	gates := []*process{f.gateway("gw1", addrs[0]), f.gateway("gw2", addrs[1])}

	s := &told{errs: map[int64]error{}}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var callers sync.WaitGroup
	for range 4 {
		c := openAt(t, "gateway://"+strings.Join(addrs, ",")).Client(oslorpc.Target{Topic: "ledger"})
		for range 8 {
			callers.Go(func() { s.send(ctx, t, c) })
		}
	}
	for range 2 {
		for n, name := range []string{"gw1", "gw2"} {
			s.more(t, 200)
			gates[n].signal(syscall.SIGKILL)
			<-gates[n].exited
			s.more(t, 200)
			gates[n] = f.gateway(name, addrs[n])
			s.more(t, 200)
			gates[n].signal(syscall.SIGTERM)
			if code := gates[n].code(); code != 0 {
				t.Errorf("%s ended with %d after SIGTERM: %v", name, code, f.output.Lines())
			}
			s.more(t, 200)
			gates[n] = f.gateway(name, addrs[n])
		}
	}
	stop()
	callers.Wait()
	s.check(t, l)
	if t.Failed() {
		t.Log(f.output.Lines())
	}
}

// slow starts a server whose method wait runs until the test releases it.
func (f *fleet) slow() (running, release chan struct{}) {
	f.t.Helper()
	running, release = make(chan struct{}), make(chan struct{})
	server := openAt(f.t, f.url, oslorpc.WithListen("127.0.0.1:0")).Server(oslorpc.Target{Topic: "slow", Server: "a"})
	server.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"wait": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (string, error) {
			close(running)
			<-release
			return "done", nil
		}),
	}})
	if err := server.Start(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	return running, release
}

// A gateway that is told to stop answers its outstanding messages.
func TestGatewayDrains(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	running, release := f.slow()
	addr := freeAddr(t)
	g := f.gateway("gw", addr)
	c := openAt(t, "gateway://"+addr).Client(oslorpc.Target{Topic: "slow"})
	answer := make(chan error, 1)
	go func() {
		_, err := oslorpc.Call[string](t.Context(), c, "wait", nil)
		answer <- err
	}()
	<-running
	g.signal(syscall.SIGTERM)
	f.find(1, "gw", "stopping; another signal ends the gateway at once")
	eventually(t, patient, "the gateway is withdrawn", func() bool { return len(f.servers()) == 1 })
	select {
	case <-g.exited:
		t.Error("the gateway ended before it answered what it had")
	default:
	}
	close(release)
	if err := <-answer; err != nil {
		t.Errorf("the call: %v", err)
	}
	if code := g.code(); code != 0 {
		t.Errorf("it ended with %d: %v", code, f.output.Lines())
	}
}

// The second signal ends a gateway at once.
func TestGatewayTwoSignals(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	running, release := f.slow()
	defer close(release)
	addr := freeAddr(t)
	g := f.gateway("gw", addr)
	c := openAt(t, "gateway://"+addr).Client(oslorpc.Target{Topic: "slow"})
	answer := make(chan error, 1)
	go func() {
		_, err := oslorpc.Call[string](t.Context(), c, "wait", nil)
		answer <- err
	}()
	<-running
	g.signal(syscall.SIGTERM)
	f.find(1, "gw", "stopping")
	g.signal(os.Interrupt)
	g.code()
	if err := <-answer; oslorpc.SafeToRetry(err) || err == nil {
		t.Errorf("what ran may have run, and its caller has %v", err)
	}
}

// Wrong flags of a gateway, and addresses that it cannot use, are reported before anything runs.
func TestGatewayUsages(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, test := range []struct {
		line string
		code int
		want string
	}{
		{"gateway", cli.ExitUsage, "gateway needs --listen: clients are given its address"},
		{"gateway x", cli.ExitUsage, "gateway does not take"},
		{"gateway --listen", cli.ExitUsage, "--listen"},
		{"gateway --listen x", cli.ExitUsage, `write "host:port"`},
		{"gateway --listen 0.0.0.0:0", cli.ExitUsage, "--insecure if you mean it"},
		{"gateway --listen 0.0.0.0:0 --insecure", cli.ExitUsage, "use --advertise"},
		{"gateway --listen 127.0.0.1:0 --hide all", cli.ExitUsage, "--hide: "},
		{"gateway --listen 127.0.0.1:0 --policy /nonexistent", cli.ExitUsage, "/nonexistent"},
		{"gateway --listen 127.0.0.1:0 --http-host gw.example", cli.ExitUsage, "--cors-origin and --http-host say how --http is used, which is missing"},
		{"gateway --listen 127.0.0.1:0 --cors-origin https://a.example", cli.ExitUsage, "which is missing"},
		{"gateway --listen 127.0.0.1:0 --http 0.0.0.0:0", cli.ExitUsage, "use --ca, --cert and --key, or --insecure if you mean it"},
		{"gateway --listen 127.0.0.1:0 --http x", cli.ExitUsage, `the address to listen on for HTTP, "x", is malformed: write "host:port"`},
		{"gateway --listen 127.0.0.1:0 --http 127.0.0.1:0 --cors-origin x", cli.ExitUsage, `the origin "x" is malformed: write "https://host"`},
		{"gateway --listen 127.0.0.1:0 --transport gateway://127.0.0.1:1", 0, "gateway"},
		{"gateway --listen 127.0.0.1:0 --transport consul://127.0.0.1:1", cli.ExitNotDelivered, "check that a Consul agent answers there"},
		{"gateway --listen " + l.Addr().String(), 0, l.Addr().String()},
		{"gateway --listen 127.0.0.1:0 --http " + l.Addr().String(), 0, l.Addr().String()},
	} {
		cmd := f.command(strings.Fields(test.line)...)
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		late := time.AfterFunc(patient, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // its code says how it ended
		late.Stop()
		code := cmd.ProcessState.ExitCode()
		if code <= 0 || test.code != 0 && code != test.code || !strings.Contains(errs.String(), test.want) || strings.Contains(out.String(), "is ready") {
			t.Errorf("%s: exit code %d, printed %q and\n%s\nwant an error with %q", test.line, code, out.String(), errs.String(), test.want)
		}
	}
}
