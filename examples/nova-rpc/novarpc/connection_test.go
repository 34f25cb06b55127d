package novarpc_test

import (
	"context"
	"testing"

	"github.com/oslorpc/oslorpc/examples/nova-rpc/novarpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Topics and hosts contain dots, so in Nova all of these queues would have the same name. Here each
// queue gets its own messages.
func TestDotsInNames(t *testing.T) {
	t.Parallel()
	r := open(t)
	serve(t, r, "b.c", newManager("host b.c on a"), "a")
	serve(t, r, "c", newManager("host c on a.b"), "a.b")
	serve(t, r, "x", newManager("topic a.b.c"), "a.b.c")
	for want, queue := range map[string]novarpc.Queue{
		"host b.c on a": novarpc.QueueGetFor("a", "b.c"),
		"host c on a.b": novarpc.QueueGetFor("a.b", "c"),
		"topic a.b.c":   novarpc.Topic("a.b.c"),
	} {
		if got := call(t, r, queue); got != want {
			t.Errorf("%q of %s was served by %s", queue, want, got)
		}
	}
}

func TestSeveralTopics(t *testing.T) {
	t.Parallel()
	transport := openTransport(t)
	r := novarpc.New(transport)
	m := newManager("m")
	conn := serve(t, r, "host", m, "compute", "compute-alt")
	wantListed(t, transport, "compute host", "compute-alt host")
	for _, topic := range []string{"compute", "compute-alt"} {
		if _, err := r.FanoutCast(t.Context(), novarpc.Topic(topic), note(topic)); err != nil {
			t.Error(err)
		}
		call(t, r, novarpc.QueueGetFor(topic, "host"))
	}
	m.hasRun(t, "compute", "compute-alt")
	closeConn(t, conn)
	wantListed(t, transport)
}

type versioned struct{ *manager }

func (versioned) RPCAPIVersion() string   { return "2.3" }
func (versioned) RPCAPINamespace() string { return "baseapi" }

func TestVersionAndNamespaceOfProxy(t *testing.T) {
	t.Parallel()
	r := open(t)
	conn := r.CreateConnection("host")
	createAll(t, conn, "compute", "host", versioned{newManager("m")})
	if err := conn.ConsumeInThread(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer closeConn(t, conn)
	for _, test := range []struct {
		namespace, version string
		served             bool
	}{
		{"baseapi", "2.3", true},
		{"baseapi", "2.0", true},
		{"baseapi", "2.4", false},
		{"baseapi", "", false},
		{"", "2.3", false},
	} {
		msg := novarpc.Msg{Method: "whoami", Namespace: test.namespace, Version: test.version}
		_, err := novarpc.Call[string](t.Context(), r, novarpc.Topic("compute"), msg)
		if test.served && err != nil || !test.served && oslorpc.KindOf(err) != oslorpc.UnsupportedVersion {
			t.Errorf("namespace %q, version %q: %v", test.namespace, test.version, err)
		}
	}
}

// Workers that share a host name share the messages for this host, and each gets all fanouts.
func TestWorkersShareAHost(t *testing.T) {
	t.Parallel()
	r := open(t)
	a, b := newManager("a"), newManager("b")
	serve(t, r, "host", a, "compute")
	serve(t, r, "host", b, "compute")
	got := map[string]int{}
	for range 10 {
		got[call(t, r, novarpc.QueueGetFor("compute", "host"))]++
	}
	if got["a"] == 0 || got["b"] == 0 {
		t.Errorf("calls of the host were answered by %v, not by both", got)
	}
	if _, err := r.FanoutCast(t.Context(), novarpc.Topic("compute"), note("to each")); err != nil {
		t.Error(err)
	}
	a.hasRun(t, "to each")
	b.hasRun(t, "to each")
}

func TestLifeOfConnection(t *testing.T) {
	t.Parallel()
	transport := openTransport(t)
	r := novarpc.New(transport)
	conn := r.CreateConnection("host")
	createAll(t, conn, "compute", "host", newManager("m"))
	wantListed(t, transport)
	for range 2 { // the second does nothing
		if err := conn.ConsumeInThread(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	wantListed(t, transport, "compute host")
	wantError(t, conn.CreateConsumer(novarpc.Topic("other"), newManager("m"), false), oslorpc.Invalid, "before ConsumeInThread")

	closeConn(t, conn)
	closeConn(t, conn)
	wantListed(t, transport)
	wantError(t, conn.ConsumeInThread(t.Context()), oslorpc.Invalid, "closed")
	wantError(t, conn.CreateConsumer(novarpc.Topic("other"), newManager("m"), false), oslorpc.Invalid, "closed")
	closeConn(t, r.CreateConnection("unused"))
}

// slow is a proxy whose method runs until the test releases it.
type slow struct{ begun, release, ended chan struct{} }

func newSlow() slow {
	return slow{begun: make(chan struct{}), release: make(chan struct{}), ended: make(chan struct{})}
}

func (s slow) Work(ctx context.Context) error {
	close(s.begun)
	defer close(s.ended)
	select {
	case <-s.release:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func startSlow(t *testing.T, s slow) *novarpc.Connection {
	t.Helper()
	r := open(t)
	conn := r.CreateConnection("host")
	createAll(t, conn, "compute", "host", s)
	if err := conn.ConsumeInThread(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Cast(t.Context(), novarpc.Topic("compute"), novarpc.Msg{Method: "work"}); err != nil {
		t.Fatal(err)
	}
	<-s.begun
	return conn
}

func TestCloseFinishesWhatWasAccepted(t *testing.T) {
	t.Parallel()
	s := newSlow()
	conn := startSlow(t, s)
	closed := make(chan struct{})
	go func() {
		closeConn(t, conn)
		close(closed)
	}()
	select {
	case <-closed:
		t.Error("Close returned while a message ran")
	case s.release <- struct{}{}:
	}
	<-s.ended
	<-closed
}

func TestCloseByForce(t *testing.T) {
	t.Parallel()
	s := newSlow()
	conn := startSlow(t, s)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := conn.Close(ended); err == nil {
		t.Error("no error of a message that was not finished")
	}
	<-s.ended
}

type badVersion struct{ *manager }

func (badVersion) RPCAPIVersion() string { return "one" }

// If one topic cannot be served, none is.
func TestConsumeFails(t *testing.T) {
	t.Parallel()
	transport := openTransport(t)
	conn := novarpc.New(transport).CreateConnection("host")
	createAll(t, conn, "compute", "host", newManager("m"))
	createAll(t, conn, "other", "host", badVersion{newManager("m")})
	wantError(t, conn.ConsumeInThread(t.Context()), oslorpc.Invalid, `"one"`)
	wantListed(t, transport)
	closeConn(t, conn)
}
