package consul

import (
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// many returns instances of one process.
func many(count int) []rpc.Instance {
	list := make([]rpc.Instance, count)
	for n := range list {
		list[n] = instance("host")
		list[n].BootID = list[0].BootID
	}
	return list
}

// The cost of publishing depends on what changes, and not on the number of instances.
func TestManyInstancesOneByOne(t *testing.T) {
	t.Parallel()
	proxy := consultest.Count(t, consultest.Start(t))
	r := open(t, proxy.URL())
	all := many(300)
	start := time.Now()
	for n := range all {
		publish(t, r, all[:n+1]...)
	}
	t.Logf("%d instances took %v", len(all), time.Since(start))
	wantRequests := func(what string, most int) {
		t.Helper()
		if got := proxy.Requests(); got > most {
			t.Errorf("%s took %d requests, want at most %d", what, got, most)
		}
	}
	wantRequests("publishing one by one", 302) // and the process, and a look for an agent that answers
	publish(t, r, all...)
	wantRequests("publishing what is published", 0)
	all[7].State = rpc.StateDraining
	publish(t, r, all...)
	wantRequests("a change of one", 1)
	must(t, r.publisher.repair(t.Context(), checkKept))
	wantRequests("a look at everything", 1)
	start = time.Now()
	publish(t, r)
	t.Logf("withdrawing took %v", time.Since(start))
	wantRequests("withdrawing", 301)
}
