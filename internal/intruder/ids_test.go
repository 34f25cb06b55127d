package intruder

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// TestIDs has an attacker that uses message IDs before others do.
func TestIDs(t *testing.T) {
	t.Parallel()
	for _, a := range []attack{
		{name: "ids of others", wants: "make servers drop the casts of a clerk as repeats", do: idsOfOthers, may: []string{"report"}},
		{name: "ids that follow", wants: "guess the ids that a clerk will use from one that it saw", do: idsThatFollow, may: []string{"report"}},
		{name: "a flood of ids", wants: "have servers forget the ids of a clerk, so that a repeated message runs again", do: floodOfIDs, may: []string{"report"}},
		{name: "ids of denied messages", wants: "use up ids by messages that are denied", do: idsOfDenied},
	} {
		t.Run(a.name, a.play)
	}
}

// casts is how many messages a clerk casts.
const casts = 100

// idsOfOthers checks that an attacker changes nothing even if it knows each ID in advance.
func idsOfOthers(t *testing.T, f *fleet) int {
	conn := f.dial(t, "payments-1")
	clerks := f.open(t, f.certificate(t, clerk), &log{}, oslorpc.WithInterceptors(oslorpc.Interceptor{
		Attempt: func(ctx context.Context, m *rpc.Message, next rpc.Next) error {
			stolen := message("report")
			stolen.Id = m.ID
			if err := forms["Cast"](ctx, conn, stolen); err != nil {
				t.Error(err)
			}
			return next(ctx)
		},
	}))
	c := clerks.Client(oslorpc.Target{Topic: "payments", Server: "payments-1"}, oslorpc.WithTimeout(patience))
	for range casts {
		if err := c.Cast(t.Context(), "report", nil); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "all casts of the clerk ran", func() bool { return f.journal.count(clerk, "report") == casts })
	return 0
}

// idsThatFollow checks that no ID can be guessed from another.
func idsThatFollow(t *testing.T, f *fleet) int {
	var mu sync.Mutex
	var seen []string
	clerks := f.open(t, f.certificate(t, clerk), &log{}, oslorpc.WithInterceptors(oslorpc.Interceptor{
		Attempt: func(ctx context.Context, m *rpc.Message, next rpc.Next) error {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, m.ID)
			return next(ctx)
		},
	}))
	c := clerks.Client(oslorpc.Target{Topic: "payments"}, oslorpc.WithTimeout(patience))
	for range casts {
		if err := c.Cast(t.Context(), "report", nil); err != nil {
			t.Fatal(err)
		}
	}
	all := map[string]bool{}
	for i, id := range seen {
		if all[id] || len(id) < 22 || i > 0 && common(id, seen[i-1]) > 8 {
			t.Errorf("the id %q can be guessed from %v", id, seen[max(0, i-1):i])
		}
		all[id] = true
	}
	await(t, "all casts of the clerk ran", func() bool { return f.journal.count(clerk, "report") == casts })
	return 0
}

// common returns the length of the common prefix of two IDs.
func common(a, b string) (n int) {
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// flood is more messages than a server remembers of one sender.
const flood = 17000

func floodOfIDs(t *testing.T, f *fleet) int {
	honest := dialAt(t, f.instance("payments-1").Addr, f.certificate(t, clerk))
	once := message("report")
	once.Id = "once"
	if err := forms["Cast"](soon(t), honest, once); err != nil {
		t.Fatal(err)
	}
	f.flood(t)
	for range 3 {
		if err := forms["Cast"](soon(t), honest, once); err != nil {
			t.Errorf("a repeated cast: %v", err)
		}
	}
	marker := message("transfer")
	if err := forms["Cast"](soon(t), honest, marker); err != nil {
		t.Error(err)
	}
	await(t, "the last cast of the clerk ran", func() bool { return f.journal.count(clerk, "transfer") == 1 })
	if ran := f.journal.count(clerk, "report"); ran != 1 {
		t.Errorf("the clerk's message ran %d times", ran)
	}
	return 0
}

// flood casts more messages than a server remembers of one sender. Some are refused, since the
// attacker has only its share of the queue.
func (f *fleet) flood(t *testing.T) {
	t.Helper()
	c := f.frames(t)
	n := flood
	if testing.Short() {
		n /= 10
	}
	for i := range n {
		m := message("report")
		m.Id = fmt.Sprint(i)
		body, err := proto.Marshal(&pb.CastRequest{Message: m})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Request("/oslorpc.v1.RPCService/Cast", body); err != nil {
			t.Fatal(err)
		}
		await(t, "answers to earlier casts", func() bool {
			ended, _ := c.Ended()
			return ended > i-200
		})
	}
	await(t, "answers to all casts", func() bool {
		ended, _ := c.Ended()
		return ended == n
	})
}

func idsOfDenied(t *testing.T, f *fleet) int {
	conn := f.dial(t, "payments-1")
	honest := dialAt(t, f.instance("payments-1").Addr, f.certificate(t, clerk))
	for i := range 40 {
		m := message("transfer")
		m.Id, m.OrderKey = fmt.Sprint(i), "key"
		wantDenied(t, "a cast", forms["Cast"](soon(t), conn, m))
		if err := forms["Call"](soon(t), honest, m); err != nil {
			t.Errorf("the clerk's call: %v", err)
		}
	}
	return 40
}
