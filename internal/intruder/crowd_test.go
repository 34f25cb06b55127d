package intruder

import (
	"context"
	"crypto/tls"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/limits/limitstest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// TestCrowds has an attacker that uses as much as the policy allows.
func TestCrowds(t *testing.T) {
	t.Parallel()
	for _, a := range []attack{
		{name: "workers", wants: "hold all workers, so that clerks wait", do: workers, may: []string{"wait"}},
		{name: "connections", wants: "hold all connections, so that clerks cannot connect", do: connections},
		{name: "order keys", wants: "block the order key of a clerk by messages that are denied", do: orderKeys},
	} {
		t.Run(a.name, a.play)
	}
}

// useMeanwhile makes the clerk call over a new connection.
func (f *fleet) useMeanwhile(t *testing.T) {
	t.Helper()
	clerks := f.open(t, f.certificate(t, clerk), &log{})
	c := clerks.Client(oslorpc.Target{Topic: "payments", Server: "payments-1"}, oslorpc.WithTimeout(patience))
	for range 50 {
		if _, err := oslorpc.Call[string](t.Context(), c, "transfer", nil); err != nil {
			t.Fatalf("the clerk is not served: %v", err)
		}
	}
}

// wantLimit fails unless the log says that the attacker reached a limit.
func (f *fleet) wantLimit(t *testing.T, why string) {
	t.Helper()
	await(t, "a line about "+why, func() bool {
		for text := range strings.Lines(f.log.String()) {
			if strings.Contains(text, "a limit was reached") && strings.Contains(text, why) && strings.Contains(text, agent) {
				return true
			}
		}
		return false
	})
}

func workers(t *testing.T, f *fleet) int {
	ctx, leave := context.WithTimeout(t.Context(), patience)
	conn := f.dial(t, "payments-1")
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer leave()
	const more = 700 // more than the workers and the queue places that one caller may have
	for range more {
		waiting.Go(func() { _ = forms["Call"](ctx, conn, message("wait")) })
	}
	f.wantLimit(t, "the queue has no more room for this caller")
	f.useMeanwhile(t)
	return 0
}

func connections(t *testing.T, f *fleet) int {
	config := tlsOf(t, f.stolen)
	config.NextProtos = []string{"h2"}
	for range callerConnections + 10 {
		conn, err := tls.Dial("tcp", f.instance("payments-1").Addr, config)
		if err != nil {
			continue
		}
		c, err := limitstest.Start(conn, false)
		if err != nil {
			_ = conn.Close()
			continue
		}
		t.Cleanup(c.Close)
	}
	f.wantLimit(t, "too many connections")
	f.useMeanwhile(t)
	return 0
}

func orderKeys(t *testing.T, f *fleet) int {
	conn := f.dial(t, "payments-1")
	ctx, leave := context.WithTimeout(t.Context(), patience)
	defer leave()
	for range 40 {
		m := message("transfer")
		m.OrderKey = "account-7"
		wantDenied(t, "a cast", forms["Cast"](ctx, conn, m))
	}
	began := time.Now()
	c := f.clerk.Prepare(oslorpc.WithOrderKey("account-7"), oslorpc.WithServer("payments-1"))
	if _, err := oslorpc.Call[string](t.Context(), c, "transfer", nil); err != nil {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	return 40
}
