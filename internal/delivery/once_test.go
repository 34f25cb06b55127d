package delivery

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// luck generates random situations. The same seed generates the same situations.
type luck struct{ *rand.Rand }

func newLuck(number int) luck { return luck{rand.New(rand.NewPCG(uint64(number), 9))} }

// answers returns the answers of an instance. The last one repeats without end.
func (l luck) answers() []error {
	all := []error{
		nil, full, full, full, stopping, misdirected, notSent, untrusted, tooOld, noMethod, notStarted(rpc.BadArguments), notStarted(rpc.Timeout),
		lost, mayHaveRun(rpc.Remote), mayHaveRun(rpc.Timeout), mayHaveRun(rpc.Refused), mayHaveRun(rpc.NoSuchMethod), errors.New("x"),
	}
	list := make([]error, 1+l.IntN(4))
	for i := range list {
		list[i] = all[l.IntN(len(all))]
		if i < len(list)-1 && !rpc.SafeToRetry(list[i]) {
			list[i] = full // what comes after would never be asked for
		}
	}
	return list
}

func (l luck) instances() []rpc.Instance {
	list := make([]rpc.Instance, l.IntN(6))
	for i := range list {
		list[i] = instance(fmt.Sprint(i), server(fmt.Sprint("h", l.IntN(2))), func(i *rpc.Instance) {
			i.State = []rpc.State{rpc.StateActive, rpc.StateActive, rpc.StateHeld, rpc.StateDraining}[l.IntN(4)]
			if l.IntN(4) == 0 {
				old(i)
			}
		})
	}
	return list
}

func (l luck) message() *Message {
	m := message()
	m.Turn, m.Rounds, m.FailFast = l.Uint64(), l.IntN(3), l.IntN(4) == 0
	if l.IntN(3) == 0 {
		m.Target.Server = "h0"
	}
	return m
}

// TestNothingRunsTwice delivers in random situations, with random answers and random updates of the
// registry. A message that was sent and may have run is not sent again, a message is sent only to
// servers for which it is meant, and the error says correctly whether it may have run.
func TestNothingRunsTwice(t *testing.T) {
	number := 1000
	if testing.Short() {
		number = 200
	}
	synctest.Test(t, func(t *testing.T) {
		for n := range number {
			deliverByLuck(t, n)
			if t.Failed() {
				t.Fatalf("in situation %d", n)
			}
		}
	})
}

func deliverByLuck(t *testing.T, number int) {
	t.Helper()
	l := newLuck(number)
	instances := l.instances()
	w := newWorld(t, instances...)
	defer w.fleet.Close()
	w.registry.list(instances...)
	var s script
	for _, i := range instances {
		s.says(i.ID, l.answers()...)
	}
	for range l.IntN(3) {
		u := registry.Update{Instances: instances[:l.IntN(len(instances)+1)], Reset: l.IntN(2) == 0}
		time.AfterFunc(time.Duration(l.IntN(2000))*time.Millisecond, func() { w.registry.tell(u) })
	}
	m := l.message()
	var last error
	over := false
	err := One(within(t, 3*time.Second), w.topic, m, func(ctx context.Context, a Attempt) error {
		if over {
			t.Errorf("it was sent to %s though it may have run before", a.Entry.ID)
		}
		if m.Target.Server != "" && a.Entry.Server != m.Target.Server {
			t.Errorf("it was sent to %s instead of %s", a.Entry.Server, m.Target.Server)
		}
		if m.Target.Server == "" && a.Entry.State == rpc.StateDraining {
			t.Errorf("it was sent to %s, which is draining", a.Entry.ID)
		}
		last = s.send(ctx, a)
		over = !rpc.SafeToRetry(last)
		return last
	})
	time.Sleep(2 * time.Second) // the registry has its say
	switch {
	case over && rpc.KindOf(err) != rpc.KindOf(last) || over && (err == nil) != (last == nil):
		t.Errorf("the error is %v, want %v", err, last)
	case over && err != nil && rpc.SafeToRetry(err):
		t.Errorf("it may have run, and the error says that it did not: %v", err)
	case !over && !rpc.SafeToRetry(err):
		t.Errorf("it did not run, and the error does not say so: %v", err)
	}
}
