package intruder

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for something that should happen soon.
const patience = 20 * time.Second

// await waits until a condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("this did not happen in time: %s", what)
		}
	}
}

// run is a message that ran.
type run struct{ server, method, identity string }

// journal records the messages that ran. It is safe for concurrent use.
type journal struct {
	mu  sync.Mutex
	all []run
}

func (j *journal) add(r run) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.all = append(j.all, r)
}

// of returns the runs of an identity.
func (j *journal) of(identity string) (list []run) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range j.all {
		if r.identity == identity {
			list = append(list, r)
		}
	}
	return list
}

// count returns how many messages of an identity ran a method.
func (j *journal) count(identity, method string) (n int) {
	for _, r := range j.of(identity) {
		if r.method == method {
			n++
		}
	}
	return n
}

// log is the log of a process, as JSON. It is safe for concurrent use.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements [io.Writer].
func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// line is a line of a log.
type line struct {
	Msg     string
	Address string
	Reason  string
	Advice  string
	Audit   struct{ Verdict, Identity, Proof, Address, Claimed, Topic, Server, Method, Delivery, Service string }
}

// lines returns the lines of the log.
func (l *log) lines(t *testing.T) (list []line) {
	t.Helper()
	for text := range strings.Lines(l.String()) {
		var parsed line
		if err := json.Unmarshal([]byte(text), &parsed); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		list = append(list, parsed)
	}
	return list
}

// denials returns the audit lines about an identity.
func (l *log) denials(t *testing.T, identity string) (list []line) {
	t.Helper()
	return slices.DeleteFunc(l.lines(t), func(l line) bool {
		return l.Audit.Verdict != "denied" || l.Audit.Identity != identity
	})
}

// wantDenials fails unless the audit log has at least n denials of an identity, each with its
// address.
func (l *log) wantDenials(t *testing.T, identity string, n int) {
	t.Helper()
	list := l.denials(t, identity)
	if len(list) < n {
		t.Errorf("the audit log has %d denials of %s, want %d:\n%s", len(list), identity, n, l)
	}
	for _, d := range list {
		if d.Audit.Address == "" || d.Audit.Proof != "tls" {
			t.Errorf("a denial lacks the address of the caller: %+v", d)
		}
	}
}

func (r run) String() string { return fmt.Sprintf("%s at %s for %s", r.method, r.server, r.identity) }

// wantHandshakes fails unless the log has n lines about failed handshakes, each with the address of
// the client.
func (l *log) wantHandshakes(t *testing.T, n int) {
	t.Helper()
	failed := func() []line {
		return slices.DeleteFunc(l.lines(t), func(l line) bool { return l.Msg != "a client failed the TLS handshake" })
	}
	await(t, "a line about the handshake", func() bool { return len(failed()) >= n })
	for _, h := range failed() {
		if !strings.HasPrefix(h.Address, "127.0.0.1:") || h.Reason == "" || h.Advice == "" {
			t.Errorf("the line about a handshake is %+v", h)
		}
	}
	if list := failed(); len(list) != n {
		t.Errorf("the log has %d lines about handshakes, want %d:\n%s", len(list), n, l)
	}
}
