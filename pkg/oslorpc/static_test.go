package oslorpc_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// urlLog is a log.
type urlLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *urlLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *urlLog) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// startOne starts a server named one and returns its address.
func startOne(t *testing.T) string {
	t.Helper()
	tr, err := oslorpc.Open("memory://"+t.Name(), oslorpc.WithStopGrace(0), oslorpc.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	s := tr.Server(oslorpc.Target{Topic: "shared", Server: "one"})
	s.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"note": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (any, error) { return nil, nil })}})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	i, _ := s.Instance()
	return i.Addr
}

// One address stands for several servers, as behind a proxy. A message for a server that does not
// answer there fails long before its deadline, and so does its copy of a fanout.
func TestStaticAddressOfSeveralServers(t *testing.T) {
	t.Parallel()
	addr := startOne(t)
	tr, err := oslorpc.Open("static://shared/one="+addr+",shared/two="+addr, oslorpc.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	c := tr.Client(oslorpc.Target{Topic: "shared"}, oslorpc.WithTimeout(time.Hour))
	check := func(err error) {
		t.Helper()
		if !errors.Is(err, rpc.Refused) || !rpc.SafeToRetry(err) || !strings.Contains(err.Error(), `server "two" at `+addr) ||
			!strings.Contains(err.Error(), "another server answers there") || !strings.Contains(err.Error(), "carrier=routed") {
			t.Errorf("got %v", err)
		}
	}
	_, err = oslorpc.Call[any](t.Context(), c.Prepare(oslorpc.WithServer("two")), "note", nil)
	check(err)
	check(c.Prepare(oslorpc.WithServer("two")).Cast(t.Context(), "note", nil))
	if _, err := oslorpc.Call[any](t.Context(), c.Prepare(oslorpc.WithServer("one")), "note", nil); err != nil {
		t.Error(err)
	}
	report, err := c.Fanout(t.Context(), "note", nil)
	if err != nil || len(report.Accepted) != 1 || len(report.Failed) != 1 {
		t.Fatalf("got %+v, %v", report, err)
	}
	check(report.Failed[0].Err)
	check(report.Err())
}

// A fanout to an address without a server name warns once that it reaches only one server.
func TestFanoutToNamelessAddress(t *testing.T) {
	t.Parallel()
	addr := startOne(t)
	for url, want := range map[string]int{"static://shared=" + addr: 1, "static://shared/one=" + addr: 0} {
		var log urlLog
		tr, err := oslorpc.Open(url, oslorpc.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		if err != nil {
			t.Fatal(err)
		}
		c := tr.Client(oslorpc.Target{Topic: "shared"}, oslorpc.WithTimeout(10*time.Second))
		for range 3 {
			if report, err := c.Fanout(t.Context(), "note", nil); err != nil || report.Err() != nil {
				t.Error(err, report.Err())
			}
		}
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
		if n := log.count("reaches only one server"); n != want {
			t.Errorf("%s: the log says so %d times", url, n)
		}
	}
}

// A program that does not link gRPC's xDS client cannot use addresses that need it, and gets an
// error at once.
func TestXDSNeedsItsClient(t *testing.T) {
	t.Parallel()
	_, err := oslorpc.Open("static://shared/one=xds:///shared")
	wantKind(t, err, oslorpc.Invalid, true)
	wantText(t, err, `import _ "google.golang.org/grpc/xds"`)
}
