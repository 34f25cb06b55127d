package clienttest

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/client"
	"github.com/oslorpc/oslorpc/internal/refusal"
	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// failures tests how clients handle failures: a message runs at most once, and its sender learns
// whether it may have run.
var failures = map[string]func(*testing.T, *world){
	"a refused message goes elsewhere": func(t *testing.T, w *world) {
		w.serve("1.2", "a", "b")
		w.servers["a"].refuses(refusal.New(refusal.Full))
		for range 4 {
			for name, send := range sends() {
				if err := send(t.Context(), w); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		settle(w)
		wantRuns(t, w.servers["a"])
		if n := len(w.servers["b"].runs()); n != 4*len(sends()) {
			t.Errorf("%d ran", n)
		}
	},
	"a message that all servers refuse waits until its deadline": func(t *testing.T, w *world) {
		w.serve("1.2", "a", "b")
		w.servers["a"].refuses(refusal.New(refusal.Full))
		w.servers["b"].refuses(refusal.New(refusal.Full))
		for name, send := range sends() {
			begin := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			err := send(ctx, w)
			cancel()
			if took := time.Since(begin); took != 5*time.Second {
				t.Errorf("%s took %v", name, took)
			}
			wantError(t, err, rpc.Refused, true, "(waited ")
		}
		wantError(t, w.agents(func(s *client.Settings) { s.Retry = 0 }).Call(t.Context(), "name", nil, nil), rpc.Refused, true)
	},
	"a refusal is seen that another server does not share": func(t *testing.T, w *world) {
		w.serve("1.2", "a", "b")
		w.servers["a"].refuses(refusal.New(refusal.Stopping))
		must(t, w.agents().Call(t.Context(), "name", nil, nil))
		must(t, w.agents().Call(t.Context(), "name", nil, nil))
		wantRuns(t, w.servers["b"], "name", "name")
	},
	"the deadline ends what runs": func(t *testing.T, w *world) {
		w.serve("1.2", "a")
		begin := time.Now()
		err := w.agents(timeout(5*time.Second)).Call(t.Context(), "hang", nil, nil)
		wantError(t, err, rpc.Timeout, false, "at a (addr-a)")
		// The server may report at the same moment that the method ran.
		if text := err.Error(); !strings.Contains(text, "may have run") && !strings.Contains(text, "while the method ran") {
			t.Errorf("it does not say whether the method ran: %v", err)
		}
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("it took %v", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		wantError(t, w.agents().Call(ctx, "hang", nil, nil), rpc.Canceled, false)
		settle(w)
	},
	"a message that finds no server says so": func(t *testing.T, w *world) {
		begin := time.Now()
		wantError(t, w.agents(timeout(5*time.Second)).Cast(t.Context(), "name", nil), rpc.NoInstance, true)
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("it took %v", took)
		}
		wantError(t, w.agents(func(s *client.Settings) { s.FailFast = true }).Call(t.Context(), "name", nil, nil), rpc.NoInstance, true)
		fast := true
		call := create("v", &v1.CreateVolumeResponse{})
		call.FailFast = &fast
		wantError(t, w.inventory().Invoke(t.Context(), call), rpc.NoInstance, true)
		must(t, w.agents(func(s *client.Settings) { s.LossyCasts, s.FailFast = true, true }).Cast(t.Context(), "name", nil))
		r, err := w.agents().Fanout(t.Context(), "name", nil)
		if err != nil || len(r.Accepted)+len(r.Skipped)+len(r.Failed) != 0 {
			t.Errorf("a fanout to no server: %+v, %v", r, err)
		}
	},
	"messages avoid a server that died": func(t *testing.T, w *world) {
		w.serve("1.2", "a", "b")
		for range 2 {
			must(t, w.agents().Call(t.Context(), "name", nil, nil))
		}
		w.servers["a"].kill()
		synctest.Wait() // what is sent before the client notices may be lost
		for range 4 {
			must(t, w.agents().Call(t.Context(), "name", nil, nil))
		}
		err := w.agents(to("a"), func(s *client.Settings) { s.FailFast = true }).Call(t.Context(), "name", nil, nil)
		wantError(t, err, rpc.Unreachable, true, "a")
	},
	"a server that dies may have run the message": func(t *testing.T, w *world) {
		w.serve("1.2", "a")
		time.AfterFunc(time.Second, w.servers["a"].kill)
		err := w.agents().Call(t.Context(), "hang", nil, nil)
		wantError(t, err, rpc.OutcomeUnknown, false, "at a (addr-a)")
	},
	"an address that leads to another process is avoided": func(t *testing.T, w *world) {
		w.serve("1.2", "a", "b")
		wrong := instance("agents", "c", "1.2")
		wrong.Addr = "addr-a"
		w.registry.add(wrong)
		for range 6 {
			must(t, w.agents().Call(t.Context(), "name", nil, nil))
		}
		err := w.agents(to("c"), timeout(time.Second)).Call(t.Context(), "name", nil, nil)
		wantError(t, err, rpc.Refused, true, "where another process listens now")
	},
	"a server at a static address is told by its name": func(t *testing.T, w *world) {
		w.serve("1.2", "a")
		w.registry.list = nil
		for _, topic := range []string{"agents", "inventory"} {
			w.registry.add(rpc.Instance{Exchange: exchange, Topic: topic, Server: "a", Addr: "addr-a"})
		}
		must(t, w.agents().Call(t.Context(), "name", nil, nil))
		must(t, w.inventory().Invoke(t.Context(), create("v", &v1.CreateVolumeResponse{})))
		wantRuns(t, w.servers["a"], "name", "CreateVolume")
	},
	"what is too large is not sent": func(t *testing.T, w *world) {
		w.serve("1.2", "a")
		long := strings.Repeat("x", maxSize)
		wantError(t, w.agents().Call(t.Context(), "echo", map[string]string{"x": long}, nil), rpc.TooLarge, true)
		wantError(t, w.inventory().Invoke(t.Context(), create(long, &v1.CreateVolumeResponse{})), rpc.TooLarge, true)
		wantRuns(t, w.servers["a"])
	},
	"a transport that is closed sends nothing": func(t *testing.T, w *world) {
		w.serve("1.2", "a")
		transport := w.transport(nil)
		c := transport.Client(client.Settings{Target: rpc.Target{Topic: "agents"}, Retry: -1})
		failed := make(chan error, 1)
		go func() { failed <- c.Call(t.Context(), "hang", nil, nil) }()
		synctest.Wait()
		transport.Close()
		wantError(t, <-failed, rpc.OutcomeUnknown, false, "closed")
		wantError(t, c.Call(t.Context(), "name", nil, nil), rpc.Invalid, true, "closed")
		wantRuns(t, w.servers["a"], "hang")
	},
	"mistakes are found before anything is sent": func(t *testing.T, w *world) {
		w.serve("1.2", "a")
		fanout := func(s *client.Settings) { s.Target.Fanout = true }
		for what, err := range map[string]error{
			"a call with fanout":       w.agents(fanout).Call(t.Context(), "name", nil, nil),
			"a method without a name":  w.agents().Call(t.Context(), "", nil, nil),
			"a target without a topic": w.agents(func(s *client.Settings) { s.Target.Topic = "" }).Cast(t.Context(), "name", nil),
			"a malformed version":      w.agents(version("new")).Cast(t.Context(), "name", nil),
		} {
			if rpc.KindOf(err) != rpc.InvalidTarget || !rpc.SafeToRetry(err) {
				t.Errorf("%s: %v", what, err)
			}
		}
		wantError(t, w.agents().Call(t.Context(), "echo", client.Variants{}, nil), rpc.Invalid, true)
		wantError(t, w.agents().Call(t.Context(), "echo", map[string]any{"x": func() {}}, nil), rpc.BadArguments, true)
		wantError(t, w.inventory().Invoke(t.Context(), &client.TypedCall{Path: "/no.Service/Do", Message: &v1.CreateVolumeRequest{}}), rpc.Invalid, true)
		bad := create("v", nil)
		bad.Message = "text"
		wantError(t, w.inventory().Invoke(t.Context(), bad), rpc.Invalid, true, "string")
		wantRuns(t, w.servers["a"])
	},
}

// sends returns functions that each send a message to one server, which runs a method for it.
func sends() map[string]func(context.Context, *world) error {
	return map[string]func(context.Context, *world) error{
		"call": func(ctx context.Context, w *world) error { return w.agents().Call(ctx, "name", nil, nil) },
		"monitored call": func(ctx context.Context, w *world) error {
			return w.agents(func(s *client.Settings) { s.Monitor = time.Minute }).Call(ctx, "name", nil, nil)
		},
		"cast": func(ctx context.Context, w *world) error { return w.agents().Cast(ctx, "name", nil) },
		"multicall": func(ctx context.Context, w *world) error {
			return w.agents().Multicall(ctx, "items", count{2}, func(client.Read) (bool, error) { return true, nil })
		},
		"typed call": func(ctx context.Context, w *world) error {
			return w.inventory().Invoke(ctx, create("v", &v1.CreateVolumeResponse{}))
		},
		"typed cast":          func(ctx context.Context, w *world) error { return w.inventory().Invoke(ctx, report("v")) },
		"typed server stream": func(ctx context.Context, w *world) error { return watch(ctx, w.inventory()) },
	}
}

// settle waits until all goroutines are blocked.
func settle(*world) { synctest.Wait() }
