package clienttest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/oslorpc/oslorpc/internal/client"
	"github.com/oslorpc/oslorpc/internal/msgcontext"
	"github.com/oslorpc/oslorpc/internal/payload"
	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// deliveries tests what each delivery does.
var deliveries = map[string]func(*testing.T, *world){
	"a call returns what the method does": func(t *testing.T, w *world) {
		w.serve("1.0", "a")
		c := w.agents()
		var result payload.Raw
		must(t, c.Call(t.Context(), "echo", payload.Raw(`{"x":[1,"é",null]}`), &result))
		if result != `{"x":[1,"é",null]}` {
			t.Errorf("got %s", result)
		}
		err := c.Call(t.Context(), "fail", nil, nil)
		wantError(t, err, rpc.Remote, false, "it failed")
		wantError(t, c.Call(t.Context(), "missing", nil, nil), rpc.NoSuchMethod, true, `"missing"`)
		wantError(t, c.Call(t.Context(), "fail", payload.Raw(`{"x":1}`), nil), rpc.BadArguments, true)
		wantError(t, c.Call(t.Context(), "name", nil, new(int)), rpc.BadResult, false)
		wantRuns(t, w.servers["a"], "echo", "fail", "name")
	},
	"the request context and metadata travel with a message": func(t *testing.T, w *world) {
		w.serve("1.0", "a")
		ctx := msgcontext.With(t.Context(), map[string]any{"user": "bob"})
		ctx = context.WithValue(ctx, metadataKey{}, rpc.Metadata{"color": {"red", "blue"}})
		var dict map[string]any
		must(t, w.agents().Call(ctx, "context", nil, &dict))
		if dict["user"] != "bob" {
			t.Errorf("the request context is %v", dict)
		}
		must(t, w.inventory().Invoke(ctx, create("v", &v1.CreateVolumeResponse{})))
		for _, method := range []string{"context", "CreateVolume"} {
			if got := w.servers["a"].told(method)["color"]; !slices.Equal(got, []string{"red", "blue"}) {
				t.Errorf("%s: the metadata is %v", method, got)
			}
		}
	},
	"calls go to all servers in turn": func(t *testing.T, w *world) {
		w.serve("1.0", "a", "b", "c")
		c, seen := w.agents(), map[string]int{}
		for range 9 {
			var name string
			must(t, c.Call(t.Context(), "name", nil, &name))
			seen[name]++
		}
		if len(seen) != 3 || seen["a"] != 3 {
			t.Errorf("they ran at %v", seen)
		}
		must(t, w.agents(to("b")).Call(t.Context(), "name", nil, nil))
		if n := len(w.servers["b"].runs()); n != 4 {
			t.Errorf("by name, %d ran at b", n)
		}
	},
	"a cast is accepted and runs later": func(t *testing.T, w *world) {
		w.serve("1.0", "a")
		must(t, w.agents().Cast(t.Context(), "hang", nil))
		synctest.Wait()
		must(t, w.inventory().Invoke(t.Context(), report("v")))
		synctest.Wait()
		wantRuns(t, w.servers["a"], "hang", "ReportUsage")
	},
	"a fanout reports on each server": func(t *testing.T, w *world) {
		w.serve("1.0", "d", "a")
		w.serve("1.1", "b", "c")
		w.servers["c"].refuses(&rpc.Error{Kind: rpc.AccessDenied, Message: "not today"})
		c := w.agents(func(s *client.Settings) { s.Target.Version = "1.1" })
		r, err := c.Fanout(t.Context(), "name", nil)
		must(t, err)
		wantCopies(t, "accepted", r.Accepted, "b")
		wantCopies(t, "skipped", r.Skipped, "a", "d")
		wantCopies(t, "failed", r.Failed, "c")
		wantError(t, r.Skipped[0].Err, rpc.UnsupportedVersion, true, `"a"`)
		wantError(t, r.Failed[0].Err, rpc.AccessDenied, true, "not today", "at c (addr-c)")
		var typed *client.Report
		call := &client.TypedCall{
			Path: v1.InventoryService_InvalidateCache_FullMethodName, Message: &v1.InvalidateCacheRequest{Name: "v"},
			Result: &emptypb.Empty{}, Report: func(r *client.Report) { typed = r },
		}
		must(t, w.inventory().Invoke(t.Context(), call))
		wantCopies(t, "accepted of a typed one", typed.Accepted, "a", "b", "d")
		wantCopies(t, "failed of a typed one", typed.Failed, "c")
	},
	"a fanout that is denied everywhere is an error": func(t *testing.T, w *world) {
		w.serve("1.0", "old")
		w.serve("1.1", "a", "b")
		for _, name := range []string{"a", "b"} {
			w.servers[name].refuses(&rpc.Error{Kind: rpc.AccessDenied, Message: "not today"})
		}
		c := w.agents(func(s *client.Settings) { s.Target.Version = "1.1" })
		r, err := c.Fanout(t.Context(), "name", nil)
		wantError(t, err, rpc.AccessDenied, true, "not today")
		wantCopies(t, "skipped", r.Skipped, "old")
		wantCopies(t, "failed", r.Failed, "a", "b")
		c = w.agents(func(s *client.Settings) { s.Target.Version, s.Target.Fanout = "1.1", true })
		wantError(t, c.Cast(t.Context(), "name", nil), rpc.AccessDenied, true, "not today")
		w.servers["old"].refuses(&rpc.Error{Kind: rpc.AccessDenied, Message: "not today"})
		var typed *client.Report
		call := &client.TypedCall{
			Path: v1.InventoryService_InvalidateCache_FullMethodName, Message: &v1.InvalidateCacheRequest{Name: "v"},
			Result: &emptypb.Empty{}, Report: func(r *client.Report) { typed = r },
		}
		wantError(t, w.inventory().Invoke(t.Context(), call), rpc.AccessDenied, true, "not today")
		wantCopies(t, "failed of a typed one", typed.Failed, "a", "b", "old")
		w.servers["a"].refuses(&rpc.Error{Kind: rpc.TooLarge, Message: "not today"})
		_, err = w.agents(func(s *client.Settings) { s.Target.Version = "1.1" }).Fanout(t.Context(), "name", nil)
		must(t, err)
	},
	"a gather yields each answer": func(t *testing.T, w *world) {
		w.serve("1.0", "old")
		w.serve("1.1", "a", "b", "c")
		w.servers["c"].refuses(&rpc.Error{Kind: rpc.AccessDenied, Message: "not today"})
		c := w.agents(func(s *client.Settings) { s.Target.Version = "1.1" })
		var expected []string
		answers := map[string]error{}
		must(t, c.Gather(t.Context(), "name", nil, client.Gathering{
			Tell: func(list []rpc.Instance) {
				for _, i := range list {
					expected = append(expected, i.Server)
				}
			},
			Each: func(a *client.Answer) bool {
				var name string
				answers[a.Instance.Server] = a.Read(&name)
				if a.Expected != 4 || a.Skipped != (a.Instance.Server == "old") || name != "" && name != a.Instance.Server {
					t.Errorf("got %q, %+v", name, a)
				}
				return true
			},
		}))
		if !slices.Equal(expected, []string{"a", "b", "c", "old"}) || len(answers) != 4 || answers["a"] != nil || answers["b"] != nil {
			t.Errorf("expected %v, got %v", expected, answers)
		}
		wantError(t, answers["c"], rpc.AccessDenied, true)
		wantError(t, answers["old"], rpc.UnsupportedVersion, true)
	},
	"a gather ends when replies stop coming": func(t *testing.T, w *world) {
		w.serve("1.0", "a", "b")
		close(w.servers["a"].gate)
		begin, n := time.Now(), 0
		must(t, w.agents().Gather(t.Context(), "wait", nil, client.Gathering{Stall: 5 * time.Second, Each: func(a *client.Answer) bool {
			n++
			if err := a.Read(nil); a.Instance.Server == "b" {
				wantError(t, err, rpc.Timeout, false, "no server replied for 5s")
			}
			return true
		}}))
		if took := time.Since(begin); n != 2 || took != 5*time.Second {
			t.Errorf("%d answers came within %v", n, took)
		}
	},
	"a gather that is broken off cancels the others": func(t *testing.T, w *world) {
		w.serve("1.0", "a", "b")
		time.AfterFunc(time.Second, func() { close(w.servers["a"].gate) })
		begin := time.Now()
		must(t, w.agents().Gather(t.Context(), "wait", nil, client.Gathering{Each: func(*client.Answer) bool { return false }}))
		if took := time.Since(begin); took != time.Second {
			t.Errorf("it took %v", took)
		}
		wantRuns(t, w.servers["b"], "wait")
	},
	"a multicall yields each item": func(t *testing.T, w *world) {
		w.serve("1.0", "a")
		for _, n := range []int{0, 1, 100} {
			var got []int
			must(t, w.agents().Multicall(t.Context(), "items", count{n}, func(read client.Read) (bool, error) {
				var i int
				err := read(&i)
				got = append(got, i)
				return true, err
			}))
			if len(got) != n || n > 0 && got[n-1] != n-1 {
				t.Errorf("of %d items came %v", n, got)
			}
		}
		err := w.agents().Multicall(t.Context(), "missing", nil, func(client.Read) (bool, error) { return true, nil })
		wantError(t, err, rpc.NoSuchMethod, true)
	},
	"a multicall that is broken off ends at the server": func(t *testing.T, w *world) {
		w.serve("1.0", "a")
		must(t, w.agents().Multicall(t.Context(), "stall", nil, func(client.Read) (bool, error) { return false, nil }))
		synctest.Wait()
		wantRuns(t, w.servers["a"], "stall")
	},
	"the timeout bounds each item of a multicall": func(t *testing.T, w *world) {
		w.serve("1.0", "a")
		begin, n := time.Now(), 0
		err := w.agents(timeout(5*time.Second)).Multicall(t.Context(), "stall", nil, func(client.Read) (bool, error) {
			n++
			time.Sleep(time.Minute) // it does not count
			return true, nil
		})
		wantError(t, err, rpc.Timeout, false, "no item came within ", "at a (addr-a)")
		if took := time.Since(begin); n != 1 || took != time.Minute+5*time.Second {
			t.Errorf("after %d items it failed within %v", n, took)
		}
	},
	"messages with an order key run one after the other": func(t *testing.T, w *world) {
		w.serve("1.0", "a")
		a, keyed := w.servers["a"], func(s *client.Settings) { s.OrderKey = "k" }
		must(t, w.agents(keyed).Cast(t.Context(), "wait", nil))
		must(t, w.agents(keyed).Cast(t.Context(), "name", nil))
		must(t, w.inventory(keyed).Invoke(t.Context(), report("v")))
		must(t, w.agents().Cast(t.Context(), "echo", nil))
		synctest.Wait()
		if got := a.runs(); len(got) != 3 || slices.Contains(got, "name") {
			t.Errorf("while the first one runs, these do: %v", got)
		}
		close(a.gate)
		synctest.Wait()
		if got := a.runs(); len(got) != 4 || got[3] != "name" {
			t.Errorf("in the end, these ran: %v", got)
		}
	},
	"a typed call returns what the method does": func(t *testing.T, w *world) {
		w.serve("1.2", "a")
		response := &v1.CreateVolumeResponse{}
		must(t, w.inventory().Invoke(t.Context(), create("v", response)))
		if response.GetName() != "a" {
			t.Errorf("got %v", response)
		}
		get := &client.TypedCall{Path: v1.InventoryService_GetVolume_FullMethodName, Message: &v1.GetVolumeRequest{}, Result: &v1.GetVolumeResponse{}}
		if err := w.inventory().Invoke(t.Context(), get); rpc.KindOf(err) == rpc.Unknown {
			t.Errorf("a method that is not there: %v", err)
		}
	},
}

func to(server string) func(*client.Settings) {
	return func(s *client.Settings) { s.Target.Server = server }
}

func timeout(d time.Duration) func(*client.Settings) {
	return func(s *client.Settings) { s.Timeout, s.HasTimeout = d, true }
}

// create returns a typed call.
func create(name string, response *v1.CreateVolumeResponse) *client.TypedCall {
	return &client.TypedCall{
		Path: v1.InventoryService_CreateVolume_FullMethodName, Message: &v1.CreateVolumeRequest{Name: name}, Result: response,
	}
}

// report returns a typed cast.
func report(name string) *client.TypedCall {
	return &client.TypedCall{
		Path: v1.InventoryService_ReportUsage_FullMethodName, Message: &v1.ReportUsageRequest{Name: name}, Result: &emptypb.Empty{},
	}
}

func wantCopies(t *testing.T, what string, copies []client.Copy, servers ...string) {
	t.Helper()
	var got []string
	for _, c := range copies {
		got = append(got, c.Instance.Server)
	}
	if fmt.Sprint(got) != fmt.Sprint(servers) {
		t.Errorf("%s are %v, want %v", what, got, servers)
	}
}
