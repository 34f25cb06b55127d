package route

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestMain(m *testing.M) { leak.Main(m) }

// link is a connection whose health the test sets.
type link struct {
	carrier.Link

	health      atomic.Int32
	outstanding int64
}

func (l *link) Outstanding() int64 { return l.outstanding }

func (l *link) Health() carrier.Health { return carrier.Health(l.health.Load()) }

func (l *link) set(h carrier.Health) { l.health.Store(int32(h)) }

// base returns version 1.minor of the default namespace.
func base(minor uint32) rpc.Implementation {
	return rpc.Implementation{Version: rpc.Version{Major: 1, Minor: minor}}
}

// wants returns a query for version 1.minor of the default namespace.
func wants(minor uint32) Query { return Query{Version: rpc.Version{Major: 1, Minor: minor}} }

// entry returns an active, ready instance that implements 1.4, with changes.
func entry(id string, changes ...func(*Entry)) *Entry {
	e := &Entry{
		Instance: rpc.Instance{
			ID: id, Addr: "192.0.2.1:" + id, Server: "host-" + id, State: rpc.StateActive,
			Implemented: []rpc.Implementation{base(4)},
		},
		Link: &link{},
	}
	for _, change := range changes {
		change(e)
	}
	return e
}

func health(h carrier.Health) func(*Entry) { return func(e *Entry) { e.Link.(*link).set(h) } }

func state(s rpc.State) func(*Entry) { return func(e *Entry) { e.State = s } }

func server(name string) func(*Entry) { return func(e *Entry) { e.Server = name } }

func implements(list ...rpc.Implementation) func(*Entry) {
	return func(e *Entry) { e.Implemented = list }
}

func lingering(h carrier.Health) func(*Entry) {
	return func(e *Entry) {
		e.Lingering = true
		health(h)(e)
	}
}

// view returns the view of a client with a fixed seed.
func view(entries ...*Entry) *View { return NewView(entries, 1) }

// many returns n entries with the same changes.
func many(n int, changes ...func(*Entry)) []*Entry {
	entries := make([]*Entry, n)
	for i := range entries {
		entries[i] = entry(fmt.Sprint(i), changes...)
	}
	return entries
}

// id returns the name of an entry for the output of a test.
func id(e *Entry) string {
	if e == nil {
		return "none"
	}
	return e.ID
}

func ids(entries []*Entry) []string {
	list := make([]string, len(entries))
	for i, e := range entries {
		list[i] = id(e)
	}
	slices.Sort(list)
	return list
}

// tries returns a Tried with these entries.
func tries(entries ...*Entry) *Tried {
	var t Tried
	for _, e := range entries {
		t.Add(e)
	}
	return &t
}

func TestVerdictsDiffer(t *testing.T) {
	seen := map[Verdict]bool{}
	for _, v := range []Verdict{Found, NoInstance, NoServer, Unable, Exhausted} {
		if seen[v] {
			t.Errorf("verdict %d appears twice", v)
		}
		seen[v] = true
	}
	if Found != 0 {
		t.Errorf("Found is %d; a zero verdict must be the good one", Found)
	}
}
