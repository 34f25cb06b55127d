package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/policy"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// journal is a log.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// take returns the lines since the last call.
func (j *journal) take(t *testing.T) (lines []map[string]any) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range strings.Lines(j.text.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, m)
	}
	j.text.Reset()
	return lines
}

// newGate returns a gate and its log.
func newGate(t *testing.T, p trust.Policy, level slog.Level) (*Gate, *journal) {
	t.Helper()
	j := &journal{}
	g, err := New(&p, slog.New(slog.NewJSONHandler(j, &slog.HandlerOptions{Level: level})))
	if err != nil {
		t.Fatal(err)
	}
	return g, j
}

func caller(name string) *Caller {
	return &Caller{Peer: rpc.Peer{Addr: "10.0.0.1:5", Identity: rpc.Identity{Proof: rpc.ProofTLS, Names: []string{name}}}, Claimed: "agent"}
}

func question(method string) *policy.Query {
	return &policy.Query{Exchange: "nova", Topic: "conductor", Server: "c1", Method: method, Delivery: rpc.DeliveryCall}
}

var rules = []trust.Rule{{Name: "agents", From: []string{"uri:agent/*"}, Method: []string{"get"}}, {Name: "other", From: []string{"uri:other"}}}

func TestEnter(t *testing.T) {
	t.Parallel()
	for _, dryRun := range []bool{false, true} {
		g, j := newGate(t, trust.Policy{DryRun: dryRun, Rules: rules}, slog.LevelDebug)
		if err := g.Enter(t.Context(), caller("uri:agent/7"), question("get")); err != nil {
			t.Errorf("it was denied: %v", err)
		}
		err := g.Enter(t.Context(), caller("uri:agent/7"), question("set"))
		if e, ok := errors.AsType[*rpc.Error](err); dryRun != (err == nil) || err != nil && (!ok || e.Kind != rpc.AccessDenied ||
			!e.NotStarted || e.Message != "the policy of the server denies this") {
			t.Errorf("dry run %v: got %v", dryRun, err)
		}
		r := g.Report()
		denied, would := int64(1), int64(0)
		verdict := "denied"
		if dryRun {
			denied, would, verdict = 0, 1, "would deny"
		}
		if r.Denied != denied || r.WouldDeny != would || r.DryRun != dryRun || fmt.Sprint(r.Rules) != "[{agents 1} {other 0}]" {
			t.Errorf("dry run %v: the report is %+v", dryRun, r)
		}
		lines := j.take(t)
		if len(lines) != 2 {
			t.Fatalf("the log has %v", lines)
		}
		for i, want := range []map[string]any{
			{"verdict": "allowed", "rule": "agents", "method": "get"}, {"verdict": verdict, "rule": "", "method": "set"},
		} {
			maps.Copy(want, map[string]any{
				"identity": "uri:agent/7", "proof": "tls", "address": "10.0.0.1:5", "claimed": "agent", "exchange": "nova", "topic": "conductor",
				"namespace": "", "reason": "", "server": "c1", "delivery": "call", "service": "", "unlogged": 0.0,
			})
			if got := lines[i]["audit"]; fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got %v, want %v", got, want)
			}
		}
		if g.Shows(caller("uri:nothing"), question("get")) != dryRun || !g.Shows(caller("uri:other"), question("get")) {
			t.Error("it shows the wrong things")
		}
		if again := g.Report(); again.Denied != denied || again.WouldDeny != would || len(j.take(t)) > 0 {
			t.Error("what is shown is counted or logged")
		}
	}
}

// Without a policy there is no gate.
func TestNilGate(t *testing.T) {
	t.Parallel()
	g, err := New(nil, slog.Default())
	if g != nil || err != nil {
		t.Fatalf("got %v, %v", g, err)
	}
	g.Watch(t.Context())
	if g.Enter(t.Context(), caller("a"), question("b")) != nil || !g.Shows(caller("a"), question("b")) || g.Report() != nil {
		t.Error("it denies something, or counts")
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	for says, p := range map[string]trust.Policy{
		"rule 1":      {Rules: []trust.Rule{{}}},
		"policy.yaml": {File: path},
		"leave":       {File: path, DryRun: true},
	} {
		if _, err := New(&p, slog.Default()); !errors.Is(err, rpc.Invalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}

// Long texts of a caller are truncated in the log, and their contents cannot look like other text.
func TestAuditLogIsBounded(t *testing.T) {
	t.Parallel()
	g, j := newGate(t, trust.Policy{}, slog.LevelInfo)
	from := caller("uri:" + strings.Repeat("n", 1000))
	from.Claimed = "x\n{}" + strings.Repeat("é", 1000)
	q := question(strings.Repeat("m", 1000))
	q.Namespace = policy.Unknown
	if g.Enter(t.Context(), from, q) == nil {
		t.Error("it was let in")
	}
	lines := j.take(t)
	if len(lines) != 1 {
		t.Fatalf("the log has %v", lines)
	}
	a := lines[0]["audit"].(map[string]any)
	for _, name := range []string{"identity", "claimed", "method"} {
		if n := len(a[name].(string)); n > maxText+3 || n < maxText-3 {
			t.Errorf("%s has %d bytes", name, n)
		}
	}
	if a["namespace"] != "(unknown)" {
		t.Errorf("the namespace is %q", a["namespace"])
	}
}

// A caller that is denied often fills neither the log nor another caller's share of it. Omitted
// lines are counted.
func TestAuditLogIsRateLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, j := newGate(t, trust.Policy{}, slog.LevelInfo)
		ctx, end := context.WithCancel(t.Context())
		var watching sync.WaitGroup
		watching.Go(func() { g.Watch(ctx) })
		deny := func(name string, times int) {
			for range times {
				if g.Enter(ctx, caller(name), question("get")) == nil {
					t.Error("it was let in")
				}
			}
		}
		deny("uri:a", 1000)
		if lines := j.take(t); len(lines) != burst {
			t.Errorf("the log has %d lines", len(lines))
		}
		deny("uri:b", 1)
		time.Sleep(time.Second)
		synctest.Wait()
		deny("uri:a", refill+1)
		lines := j.take(t)
		if len(lines) != 1+refill {
			t.Fatalf("the log has %d lines", len(lines))
		}
		if n := lines[1]["audit"].(map[string]any)["unlogged"]; n != float64(1000-burst) {
			t.Errorf("%v were left out", n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		lines = j.take(t)
		if len(lines) != 1 || lines[0]["audit"].(map[string]any)["unlogged"] != 1.0 || lines[0]["audit"].(map[string]any)["caller"] != "uri:a" {
			t.Errorf("at last the log has %v", lines)
		}
		if len(g.audit.shares) > 0 {
			t.Errorf("%d callers are remembered", len(g.audit.shares))
		}
		for i := range 2 * maxTracked {
			deny(fmt.Sprint("uri:", i), 1)
		}
		if n := len(g.audit.shares); n > maxTracked {
			t.Errorf("%d callers are remembered", n)
		}
		if n := len(j.take(t)); n < maxTracked || n > maxTracked+burst {
			t.Errorf("the log has %d lines", n)
		}
		if n := g.Report().Denied; n != 1000+1+refill+1+2*maxTracked {
			t.Errorf("%d were counted", n)
		}
		end()
		watching.Wait()
	})
}

// Callers that proved nothing are distinguished by their machines.
func TestUnprovenCallersShareByMachine(t *testing.T) {
	t.Parallel()
	at := func(addr string) string { return keyOf(&Caller{Peer: rpc.Peer{Addr: addr}, Claimed: addr}) }
	if at("10.0.0.1:5") != at("10.0.0.1:6") || at("10.0.0.1:5") == at("10.0.0.2:5") || at("@") != "@" {
		t.Error("they are told apart by something else")
	}
}

// follower is a gate that follows a policy file.
type follower struct {
	*Gate
	*journal

	path string
}

// following tests a gate that follows a file.
func following(t *testing.T, text string, test func(t *testing.T, f *follower)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	synctest.Test(t, func(t *testing.T) {
		f := &follower{path: path}
		f.write(t, text)
		f.Gate, f.journal = newGate(t, trust.Policy{File: path}, slog.LevelInfo)
		ctx, end := context.WithCancel(t.Context())
		var watching sync.WaitGroup
		watching.Go(func() { f.Watch(ctx) })
		test(t, f)
		end()
		watching.Wait()
	})
}

func (f *follower) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(f.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// follow waits until the file was read often enough.
func (f *follower) follow() {
	time.Sleep(2 * interval)
	synctest.Wait()
}

// lets reports whether the gate allows a method.
func (f *follower) lets(t *testing.T, method string) bool {
	t.Helper()
	return f.Enter(t.Context(), caller("uri:a"), question(method)) == nil
}

func allowing(method string) string {
	return "rules: [{name: it, from: anyone, method: " + method + "}]"
}

func TestFileIsFollowed(t *testing.T) {
	t.Parallel()
	following(t, allowing("get"), func(t *testing.T, f *follower) {
		if !f.lets(t, "get") || f.lets(t, "set") {
			t.Error("the first policy is not in force")
		}
		f.take(t)
		f.follow()
		if lines := f.take(t); len(lines) > 0 {
			t.Errorf("without a change the log has %v", lines)
		}
		since := f.Report().Since
		f.write(t, allowing("set"))
		f.follow()
		if f.lets(t, "get") || !f.lets(t, "set") {
			t.Error("the second policy is not in force")
		}
		if lines := f.take(t); len(lines) != 2 || lines[0]["msg"] != "policy read" {
			t.Errorf("the log has %v", lines)
		}
		if r := f.Report(); fmt.Sprint(r.Rules) != "[{it 2}]" || r.Denied != 2 || !r.Since.After(since) {
			t.Errorf("the report is %+v", r)
		}
	})
}

// If a file cannot be used, the old policy stays. This is logged once, with the location of the
// mistake.
func TestBrokenFileKeepsThePolicy(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(t *testing.T, f *follower)
		says  string
	}{
		"a mistake": {func(t *testing.T, f *follower) { t.Helper(); f.write(t, "rules:\n- from: anyone\n  topics: x\n") }, "policy.yaml:3: "},
		"empty":     {func(t *testing.T, f *follower) { t.Helper(); f.write(t, "") }, "policy.yaml:1: "},
		"missing": {func(t *testing.T, f *follower) {
			t.Helper()
			if err := os.Remove(f.path); err != nil {
				t.Fatal(err)
			}
		}, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			following(t, allowing("get"), func(t *testing.T, f *follower) {
				test.spoil(t, f)
				f.follow()
				f.follow()
				lines := f.take(t)
				if len(lines) != 1 || lines[0]["level"] != "ERROR" || !strings.Contains(fmt.Sprint(lines[0]["error"]), test.says) {
					t.Errorf("the log has %v", lines)
				}
				if !f.lets(t, "get") || f.lets(t, "set") || !strings.Contains(f.Report().Problem, test.says) {
					t.Errorf("the policy changed, or the report does not say it: %+v", f.Report())
				}
				f.write(t, allowing("set"))
				f.follow()
				if !f.lets(t, "set") || f.Report().Problem != "" {
					t.Errorf("a good file does not count: %+v", f.Report())
				}
			})
		})
	}
}

// A file that is written in parts takes effect when it is complete.
func TestUnfinishedFileDoesNotCount(t *testing.T) {
	t.Parallel()
	following(t, allowing("get"), func(t *testing.T, f *follower) {
		for i := range 10 {
			f.write(t, "rules: [] # "+strings.Repeat(".", i))
			time.Sleep(interval)
			synctest.Wait()
			if !f.lets(t, "get") {
				t.Error("the unfinished policy is in force")
			}
		}
		f.follow()
		if f.lets(t, "get") {
			t.Error("the finished policy is not in force")
		}
	})
}
