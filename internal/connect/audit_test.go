package connect

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/tlstest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// journal is an audit log.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

// take returns the lines of the audit log since the last call.
func (j *journal) take(t *testing.T) (lines []map[string]any) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	d := json.NewDecoder(&j.text)
	for d.More() {
		var line map[string]any
		if err := d.Decode(&line); err != nil {
			t.Fatal(err)
		}
		if audit, is := line["audit"].(map[string]any); is {
			lines = append(lines, audit)
		}
	}
	j.text.Reset()
	return lines
}

// wantLine checks that the audit log has exactly one new line, with these values.
func (j *journal) wantLine(t *testing.T, verdict, reason, identity string) {
	t.Helper()
	lines := j.take(t)
	if len(lines) != 1 {
		t.Fatalf("the audit log has %v", lines)
	}
	for name, want := range map[string]any{
		"verdict": verdict, "reason": reason, "identity": identity, "rule": "", "exchange": "e", "topic": "t", "server": "s1", "method": "m",
		"delivery": "call", "address": "10.0.0.1:5", "claimed": "agent", "unlogged": 0.0,
	} {
		if got := lines[0][name]; got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// The decisions of intentions are in the audit log, with Consul's reason. A dry run allows what
// they deny and logs it. A sender outside the mesh is denied even in a dry run.
func TestAudit(t *testing.T) {
	authority := tlstest.New(t)
	for name, dryRun := range map[string]bool{"enforced": false, "dry run": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { audited(t, authority, dryRun) })
		})
	}
}

func audited(t *testing.T, authority *tlstest.Authority, dryRun bool) {
	t.Helper()
	a := &agent{authority: authority, denies: map[string]string{idOf("thief"): "Matched L4 intention: DENY"}, changed: make(chan struct{}), index: 1}
	complete := func(service string) *rpc.Message {
		m := a.message(service)
		m.Server, m.Caller, m.Peer.Addr = "s1", "agent", "10.0.0.1:5"
		m.Peer.Identity = rpc.Identity{Proof: rpc.ProofTLS, Names: []string{idOf(service)}}
		return m
	}
	cart, thief, stranger := complete("cart"), complete("thief"), complete("stranger")
	stranger.Peer.TLS.VerifiedChains = nil
	var j journal
	n := a.joinWith(t, Config{DryRun: dryRun, Log: slog.New(slog.NewJSONHandler(&j, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	synctest.Wait()
	j.take(t)
	if _, err := n.accept(t.Context(), cart); err != nil {
		t.Error(err)
	}
	j.wantLine(t, "allowed", "", idOf("cart"))
	verdict := map[bool]string{false: "denied", true: "would deny"}[dryRun]
	if _, err := n.accept(t.Context(), thief); (err == nil) != dryRun || err != nil && !errors.Is(err, rpc.AccessDenied) {
		t.Errorf("got %v", err)
	}
	j.wantLine(t, verdict, "Matched L4 intention: DENY", idOf("thief"))
	if _, err := n.accept(t.Context(), stranger); !errors.Is(err, rpc.AccessDenied) {
		t.Errorf("a stranger: %v", err)
	}
	j.wantLine(t, "denied", noService, idOf("stranger"))
	a.set(func() { a.away = errors.New("connection refused") })
	time.Sleep(staleTime + verdictTime)
	j.take(t)
	if _, err := n.accept(t.Context(), cart); (err == nil) != dryRun || err != nil && !errors.Is(err, rpc.Refused) {
		t.Errorf("got %v", err)
	}
	j.wantLine(t, verdict, "connection refused", idOf("cart"))
}

// A caller that is denied often does not fill the log. Omitted lines are counted.
func TestAuditIsRateLimited(t *testing.T) {
	authority := tlstest.New(t)
	synctest.Test(t, func(t *testing.T) {
		a := &agent{authority: authority, denies: map[string]string{idOf("thief"): "no"}, changed: make(chan struct{}), index: 1}
		m := a.message("thief")
		m.Peer.Identity = rpc.Identity{Proof: rpc.ProofTLS, Names: []string{idOf("thief")}}
		var j journal
		n := a.joinWith(t, Config{Log: slog.New(slog.NewJSONHandler(&j, nil))})
		synctest.Wait()
		for range 1000 {
			_, err := n.accept(t.Context(), m)
			wantError(t, err, rpc.AccessDenied)
		}
		logged := len(j.take(t))
		time.Sleep(time.Minute)
		n.Close()
		lines := j.take(t)
		if logged == 0 || logged > 100 || len(lines) != 1 || lines[0]["unlogged"] != float64(1000-logged) {
			t.Errorf("%d lines, then %v", logged, lines)
		}
	})
}
