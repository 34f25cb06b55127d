package consul

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestBackoff(t *testing.T) {
	var b backoff
	for n, want := range []float64{1, 1.6, 2.56, 4.096, 6.553, 10.485, 16.777, 26.843, 30, 30} {
		wantAbout(t, n, b.next(30*time.Second), want)
	}
	b = backoff{}
	for n, want := range []float64{1, 1.6, 2, 2} {
		wantAbout(t, n, b.next(2*time.Second), want)
	}
	wantAbout(t, 4, b.next(30*time.Second), 3.2)
	b = backoff{}
	wantAbout(t, 0, b.next(time.Second/3), 1.0/3)
}

func wantAbout(t *testing.T, n int, got time.Duration, seconds float64) {
	t.Helper()
	if s := got.Seconds(); s < 0.79*seconds || s > 1.21*seconds {
		t.Errorf("pause %d is %s, want %v s, a fifth more or less", n, got, seconds)
	}
}

func TestPauses(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	if got := maxPause(errors.Join(refused)); got != 2*time.Second {
		t.Errorf("refused: %s, want 2s", got)
	}
	if got := maxPause(errNoAnswer); got != 30*time.Second {
		t.Errorf("no answer: %s, want 30s", got)
	}
	for length, want := range map[int]float64{0: 0.125, 1000: 1.125, 100_000: 5} {
		for range 100 {
			got := pace(length)
			wantAbout(t, length, got, want)
			if got < 100*time.Millisecond {
				t.Errorf("pace(%d) is %s, want at least 100ms", length, got)
			}
		}
	}
}

func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if !sleep(t.Context(), time.Minute, nil) || time.Since(start) != time.Minute {
			t.Errorf("slept for %s, want 1m", time.Since(start))
		}
		wake := make(chan struct{}, 1)
		wake <- struct{}{}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if sleep(t.Context(), time.Minute, wake) || sleep(ctx, time.Minute, wake) || time.Since(start) != time.Minute {
			t.Error("slept although it was disturbed")
		}
	})
}
