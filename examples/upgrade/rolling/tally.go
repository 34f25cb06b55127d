package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/examples/upgrade"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// tally counts the calls that began within some period.
type tally struct {
	// want is the version at which they must run. It is zero while the fleet changes, when several
	// versions can be right.
	want  oslorpc.Version
	began time.Time

	mu     sync.Mutex
	calls  int
	failed int
	at     map[string]int // calls by the version that they ran at
}

// check returns an error if an answer is wrong.
func (t *tally) check(a upgrade.Answer) error {
	ran, err := rpc.ParseVersion(a.Version)
	if err != nil {
		return err
	}
	knows, err := rpc.ParseVersion(a.Release)
	arg2 := map[string]string{"1.1 1.1": "", "1.2 1.1": upgrade.DefaultArg2, "1.2 1.2": "b"}
	want, known := arg2[a.Release+" "+a.Version]
	switch {
	case err != nil:
		return err
	case !knows.Serves(ran):
		return fmt.Errorf("a message ran at a version that its server does not implement: %s", a)
	case t.want != (oslorpc.Version{}) && ran != t.want:
		return fmt.Errorf("a message did not run at %s, which is the cap: %s", t.want, a)
	case !known || a.Arg2 != want:
		return fmt.Errorf("a message ran with an arg2 that is not %q: %s", want, a)
	}
	return nil
}

func (t *tally) add(a upgrade.Answer, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls++
	if err != nil {
		t.failed++
		return
	}
	t.at[a.Version]++
}

// sum adds up tallies. The period of the sum is from the beginning of the first until now.
func sum(all ...*tally) (s summary) {
	for _, t := range all {
		t.mu.Lock()
		s.calls += t.calls
		s.failed += t.failed
		s.atOld += t.at[oldRelease]
		s.atNew += t.at[newRelease]
		t.mu.Unlock()
	}
	s.perSecond = float64(s.calls) / time.Since(all[0].began).Seconds()
	return s
}

// summary is what tallies counted.
type summary struct {
	calls, failed, atOld, atNew int
	perSecond                   float64
}
