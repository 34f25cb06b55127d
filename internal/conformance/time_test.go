package conformance

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

const (
	always  = "upstream can wait without end; here each call has a deadline, of 60 s unless another is given"
	noConf  = "upstream reads the default from its configuration at each call; here a program gives it to the client that it prepares others from"
	atOnce  = "upstream sends and then does not wait; here the timeout covers sending as well, so a message whose caller has left is not sent"
	beats   = "upstream sends the timeout, and its server beats at half of it; here the client halves it, and asks for heartbeats at that interval"
	refused = "upstream's retries are for the broker; here they are for servers that do not take the message, and never make it run twice"
)

// Time is faked, so the deadline that reaches the server is exact.
func TestCallTimeout(t *testing.T) {
	type test struct {
		row

		client, prepare options
		want            time.Duration // 0: nothing is sent
		heartbeat       time.Duration // the interval at which the server is asked for heartbeats; 0: never
	}
	const half = 21*time.Second + 100*time.Millisecond
	timeout := func(d time.Duration) options { return options{oslorpc.WithTimeout(d)} }
	each(t, "TO", 8, nil, []test{
		{row{"TO1", always}, nil, nil, time.Minute, 0},
		{row{"TO2", noConf}, timeout(21 * time.Second), options{}, 21 * time.Second, 0},
		{row{id: "TO3"}, timeout(half), nil, half, 0},
		{row{"TO4", atOnce}, timeout(0), nil, 0, 0},
		{row{id: "TO5"}, nil, timeout(half), half, 0},
		{row{id: "TO6"}, timeout(10*time.Second + 100*time.Millisecond), timeout(half), half, 0},
		{row{"TO7", atOnce}, nil, timeout(0), 0, 0},
		{row{"TO8", beats}, options{oslorpc.WithCallMonitorTimeout(30 * time.Second)}, timeout(time.Minute), time.Minute, 15 * time.Second},
	}, func(t *testing.T, test test) {
		synctest.Test(t, func(t *testing.T) {
			r, transport := record(t)
			c := transport.Client(oslorpc.Target{Topic: topic}, test.client...).Prepare(test.prepare...)
			err := send(t.Context(), c, "call", "foo", nil)
			if test.want == 0 {
				wantKind(t, err, oslorpc.Timeout)
				if got := r.recorded(); len(got) != 0 {
					t.Errorf("%v was sent", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			m := single(t, r)
			if m.left != test.want {
				t.Errorf("the server has %v, want %v", m.left, test.want)
			}
			if got := m.heartbeat; got != test.heartbeat {
				t.Errorf("a heartbeat is asked for every %v, want %v", got, test.heartbeat)
			}
		})
	})
}

// Both the deadline of ctx and the timeout apply, and the earlier one counts. (oslo.messaging has
// no ctx.)
func TestEarlierDeadlineCounts(t *testing.T) {
	for name, test := range map[string]struct{ ctx, timeout, want time.Duration }{
		"ctx":     {5 * time.Second, 10 * time.Second, 5 * time.Second},
		"timeout": {10 * time.Second, 5 * time.Second, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, transport := record(t)
				ctx, cancel := context.WithTimeout(t.Context(), test.ctx)
				defer cancel()
				c := transport.Client(oslorpc.Target{Topic: topic}, oslorpc.WithTimeout(test.timeout))
				if err := send(ctx, c, "call", "foo", nil); err != nil {
					t.Fatal(err)
				}
				if got := single(t, r).left; got != test.want {
					t.Errorf("the server has %v, want %v", got, test.want)
				}
			})
		})
	}
}

// A server that refuses sees the retries: it gets the message once, and once more for each retry.
// None means retrying until the deadline.
func TestCallRetry(t *testing.T) {
	type test struct {
		row

		client, prepare options
		attempts        int // 0: until the deadline
	}
	retry := func(n int) options { return options{oslorpc.WithRetry(n)} }
	each(t, "RT", 6, nil, []test{
		{row{"RT1", refused}, nil, nil, 0},
		{row{"RT2", refused}, retry(21), nil, 22},
		{row{"RT3", refused}, retry(0), nil, 1},
		{row{"RT4", refused}, nil, retry(21), 22},
		{row{"RT5", refused}, retry(10), retry(21), 22},
		{row{"RT6", refused}, nil, retry(0), 1},
	}, func(t *testing.T, test test) {
		synctest.Test(t, func(t *testing.T) {
			r, transport := record(t)
			r.refuse = rpcstatus.Encode(refusal.New(refusal.Full), nil).Err()
			c := transport.Client(oslorpc.Target{Topic: topic, Server: "testserver"}, test.client...).Prepare(test.prepare...)
			start := time.Now()
			wantKind(t, send(t.Context(), c, "call", "foo", nil), oslorpc.Refused)
			got, took := len(r.recorded()), time.Since(start)
			if test.attempts == 0 {
				if took != time.Minute || got <= 22 {
					t.Errorf("%d attempts in %v, want more than 22 in a minute", got, took)
				}
				return
			}
			if got != test.attempts || took >= time.Minute {
				t.Errorf("%d attempts in %v, want %d within the minute", got, took, test.attempts)
			}
		})
	})
}
