package intruder

import (
	"context"
	"flag"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/tlstest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

var rotate = flag.Duration("rotate", 0, "how long TestRotation rotates certificates, which last 10 s, each second; 0 for a short form")

// TestRotation renews the certificates of all programs again and again, in a fleet with identities
// and a policy, under the load of 32 callers. No call fails. A stolen certificate expires soon.
func TestRotation(t *testing.T) {
	f := newFleet(t)
	long, interval, life := 3*time.Second, 300*time.Millisecond, time.Hour
	if *rotate > 0 {
		long, interval, life = *rotate, time.Second, 10*time.Second
	}
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	var callers sync.WaitGroup
	var calls atomic.Int64
	for n := range 32 {
		callers.Go(func() {
			for ctx.Err() == nil {
				f.callSome(t, n, &calls)
			}
		})
	}
	rotations := 0
	for tick := time.NewTicker(interval); ctx.Err() == nil; {
		select {
		case <-tick.C:
			f.rotate(life)
			rotations++
		case <-ctx.Done():
		}
	}
	callers.Wait()
	t.Logf("%d calls, %d rotations", calls.Load(), rotations)
	f.checkServes(t)
}

// callSome makes calls. Every fourth caller uses new connections.
func (f *fleet) callSome(t *testing.T, n int, calls *atomic.Int64) {
	t.Helper()
	c := f.clerk
	if n%4 == 0 {
		transport := f.open(t, f.files[clerk], &log{})
		defer transport.Close()
		c = transport.Client(oslorpc.Target{Topic: "payments"}, oslorpc.WithTimeout(patience))
	}
	for range 50 {
		if _, err := oslorpc.Call[string](t.Context(), c, "transfer", nil); err != nil {
			t.Error(err)
			return
		}
		calls.Add(1)
	}
}

// rotate gives each program a new certificate for the same name.
func (f *fleet) rotate(life time.Duration) {
	for name, config := range f.files {
		f.authority.Issue(tlstest.Subject{URIs: []string{name}, IPs: loopback, NotAfter: time.Now().Add(life)}).Write(filepath.Dir(config.CA))
	}
}
