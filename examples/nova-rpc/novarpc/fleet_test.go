package novarpc_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/examples/nova-rpc/novarpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// patience is how long a test waits for something that must happen.
const patience = 30 * time.Second

// open returns the RPC of a transport in the test's own fleet.
func open(t *testing.T, options ...oslorpc.ClientOption) *novarpc.RPC {
	t.Helper()
	return novarpc.New(openTransport(t), options...)
}

func openTransport(t *testing.T) *oslorpc.Transport {
	t.Helper()
	transport, err := oslorpc.Open("memory://"+t.Name(), oslorpc.WithStopGrace(0), oslorpc.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := transport.Close(); err != nil {
			t.Error(err)
		}
	})
	return transport
}

// wantListed fails unless exactly these servers are registered, each as "topic host".
func wantListed(t *testing.T, transport *oslorpc.Transport, want ...string) {
	t.Helper()
	instances, err := transport.Instances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := make([]string, 0, len(instances))
	for _, i := range instances {
		got = append(got, i.Topic+" "+i.Server)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q are listed, not %q", got, want)
	}
}

// manager is a proxy that records where and how its methods ran.
type manager struct {
	name string
	ran  chan string
}

func newManager(name string) *manager { return &manager{name: name, ran: make(chan string, 100)} }

func (m *manager) Whoami(context.Context) (string, error) { return m.name, nil }

func (m *manager) User(ctx context.Context) (any, error) {
	return oslorpc.ContextFrom(ctx)["user"], nil
}

func (m *manager) Note(_ context.Context, args struct {
	Text string `json:"text"`
}) error {
	m.ran <- args.Text
	return nil
}

func (m *manager) Count(_ context.Context, args struct {
	To int `json:"to"`
}) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for n := range args.To {
			if !yield(n+1, nil) {
				return
			}
		}
		yield(0, errors.New("that is all"))
	}
}

// Endless yields until its caller stops reading.
func (m *manager) Endless(context.Context) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		defer func() { m.ran <- "ended" }()
		for n := 0; yield(n, nil); n++ {
		}
	}
}

func note(text string) novarpc.Msg {
	return novarpc.Msg{Method: "note", Args: map[string]any{"text": text}}
}

// hasRun fails unless the manager ran exactly these notes, in any order.
func (m *manager) hasRun(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for range want {
		select {
		case text := <-m.ran:
			got = append(got, text)
		case <-time.After(patience):
			t.Fatalf("%s ran %q within %v, not %q", m.name, got, patience, want)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || len(m.ran) > 0 {
		t.Errorf("%s ran %q and %d more, not %q", m.name, got, len(m.ran), want)
	}
}

// serve consumes topics in all three ways, with one manager.
func serve(t *testing.T, r *novarpc.RPC, host string, m *manager, topics ...string) *novarpc.Connection {
	t.Helper()
	conn := r.CreateConnection(host)
	for _, topic := range topics {
		createAll(t, conn, topic, host, m)
	}
	if err := conn.ConsumeInThread(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeConn(t, conn) })
	return conn
}

func createAll(t *testing.T, conn *novarpc.Connection, topic, host string, proxy any) {
	t.Helper()
	err := errors.Join(
		conn.CreateConsumer(novarpc.Topic(topic), proxy, false),
		conn.CreateConsumer(novarpc.QueueGetFor(topic, host), proxy, false),
		conn.CreateConsumer(novarpc.Topic(topic), proxy, true),
	)
	if err != nil {
		t.Fatal(err)
	}
}

func closeConn(t *testing.T, conn *novarpc.Connection) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := conn.Close(ctx); err != nil {
		t.Error(err)
	}
}

// call returns the name of the manager that answered a call.
func call(t *testing.T, r *novarpc.RPC, queue novarpc.Queue) string {
	t.Helper()
	name, err := novarpc.Call[string](t.Context(), r, queue, novarpc.Msg{Method: "whoami"})
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// wantError fails unless err has the kind and contains the text.
func wantError(t *testing.T, err error, kind oslorpc.Kind, says string) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(fmt.Sprint(err), says) {
		t.Errorf("got the error %v, want %s that says %q", err, kind.Name(), says)
	}
}
