package upgrade

import (
	"errors"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestObserve(t *testing.T) {
	t.Parallel()
	i := active("a", "1.0")
	static := rpc.Instance{Server: "s", Addr: "h:1"}
	two := &rpc.Info{Servers: []rpc.ServerInfo{{InstanceID: "other"}, {InstanceID: "a"}}}
	for name, test := range map[string]struct {
		i       rpc.Instance
		info    *rpc.Info
		err     error
		servers int
		want    error
	}{
		"one of the servers":    {i, two, nil, 1, nil},
		"a static address":      {static, two, nil, 2, nil},
		"no answer":             {i, nil, rpc.Timeout, 0, rpc.Timeout},
		"another process":       {i, &rpc.Info{Servers: two.Servers[:1]}, nil, 0, rpc.NoInstance},
		"a process without any": {static, &rpc.Info{}, nil, 0, rpc.NoInstance},
	} {
		o := Observe(test.i, test.info, test.err)
		if len(o.Servers()) != test.servers || !errors.Is(o.Err, test.want) || (o.Err == nil) != (o.Info != nil) {
			t.Errorf("%s: got %+v", name, o)
		}
	}
	gone := Observe(i, &rpc.Info{}, nil).Err
	if e, is := errors.AsType[*rpc.Error](gone); !is || e.Server != "a" || e.Addr != "a:1" || e.InstanceID != "a" || !e.NotStarted {
		t.Errorf("got %+v", gone)
	}
}

func TestUptime(t *testing.T) {
	t.Parallel()
	up, silent := upFor(1600*time.Millisecond, answered(active("a", "1.0"))), unanswered(active("b", "1.0"))
	if uptime, known := up.Uptime(); uptime != 2*time.Second || !known {
		t.Errorf("got %s, %t", uptime, known)
	}
	if uptime, known := silent.Uptime(); known {
		t.Errorf("got %s", uptime)
	}
}

func TestFirstError(t *testing.T) {
	t.Parallel()
	up, silent := answered(active("a", "1.0")), unanswered(active("b", "1.0"))
	if err := FirstError([]Observation{up, silent, Observe(active("c", "1.0"), nil, rpc.Timeout)}); !errors.Is(err, rpc.Unreachable) {
		t.Errorf("got %v", err)
	}
	if err := FirstError([]Observation{up}); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestNewestMajor(t *testing.T) {
	t.Parallel()
	newest := NewestOf([]rpc.Instance{active("a", "1.2,10.0,control=3.0"), active("b", "2.5")})
	for namespace, want := range map[string]string{"": "10.x", "control": "control=3.x"} {
		if got, found := newest.Major(namespace); !found || got.String() != want {
			t.Errorf("%q: got %s", namespace, got)
		}
	}
	if got, found := newest.Major("other"); found {
		t.Errorf("got %s", got)
	}
}
