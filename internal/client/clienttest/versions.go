package clienttest

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/oslorpc/oslorpc/internal/client"
	"github.com/oslorpc/oslorpc/internal/payload"
	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// versions tests which server gets which variant of a message.
var versions = map[string]func(*testing.T, *world){
	"a message goes to a server that serves its version": func(t *testing.T, w *world) {
		w.serve("1.0", "old")
		w.serve("1.2", "new")
		c := w.agents(version("1.1"))
		for range 4 {
			must(t, c.Call(t.Context(), "name", nil, nil))
		}
		wantRuns(t, w.servers["old"])
		err := w.agents(version("1.3")).Call(t.Context(), "name", nil, nil)
		wantError(t, err, rpc.UnsupportedVersion, true, "version 1.3", "1.2", `"new"`)
	},
	"the first variant that some server serves is sent": func(t *testing.T, w *world) {
		w.serve("1.0", "old")
		w.serve("1.1", "new")
		wantEcho(t, w.agents(), "1.1")
		wantEcho(t, w.agents(to("old")), "1.0")
		wantEcho(t, w.agents(limit("1.0")), "1.0")
		// All servers implement it.
		wantEcho(t, w.agents(limit(rpc.AutoCap)), "1.0")
	},
	"each server of a fanout gets the first variant that it serves": func(t *testing.T, w *world) {
		w.serve("1.0", "old")
		w.serve("1.1", "new")
		got := map[string]payload.Raw{}
		must(t, w.agents().Gather(t.Context(), "echo", forms("1.2", "1.1", "1.0"), client.Gathering{Each: func(a *client.Answer) bool {
			var result payload.Raw
			must(t, a.Read(&result))
			got[a.Instance.Server] = result
			return true
		}}))
		if got["old"] != `{"at":"1.0"}` || got["new"] != `{"at":"1.1"}` {
			t.Errorf("got %v", got)
		}
	},
	"a cap forbids later versions": func(t *testing.T, w *world) {
		w.serve("1.2", "a")
		err := w.agents(version("1.2"), limit("1.1")).Call(t.Context(), "name", nil, nil)
		wantError(t, err, rpc.VersionCapExceeded, true, "version 1.2 is not within the cap 1.1")
		err = w.agents(limit("1.1")).Call(t.Context(), "echo", forms("1.2", "2.0"), nil)
		wantError(t, err, rpc.VersionCapExceeded, true, "version 1.2 or 2.0")
		err = w.inventory(limit("1.0")).Invoke(t.Context(), &client.TypedCall{
			Path: v1.InventoryService_CreateVolume_FullMethodName, Message: &v1.CreateVolumeRequest{Priority: proto.Int32(1)},
			Result: &v1.CreateVolumeResponse{},
		})
		wantError(t, err, rpc.VersionCapExceeded, true, "priority", "the cap is 1.0")
		for version, want := range map[string]bool{"1.0": true, "1.1": true, "1.2": false, "2.0": false} {
			if can, err := w.agents(limit("1.1")).CanSendVersion(t.Context(), version); can != want || err != nil {
				t.Errorf("%s can be sent: %v, %v", version, can, err)
			}
		}
		why, err := w.agents(limit(rpc.AutoCap)).Why(t.Context())
		if err != nil || why.State != rpc.CapKnown || why.Version.String() != "1.2" {
			t.Errorf("the automatic cap is %v, %v", why, err)
		}
	},
	"what older servers can do without is dropped from a typed message": func(t *testing.T, w *world) {
		w.serve("1.0", "old")
		message := &v1.CreateVolumeRequest{Name: "v", Description: "kept back", Weight: proto.Int32(1)}
		call := &client.TypedCall{Path: v1.InventoryService_CreateVolume_FullMethodName, Message: message, Result: &v1.CreateVolumeResponse{}}
		must(t, w.inventory().Invoke(t.Context(), call))
		if got := w.servers["old"].typed[0].(*v1.CreateVolumeRequest); got.GetName() != "v" || got.GetDescription() != "" || got.Weight != nil {
			t.Errorf("it got %v", got)
		}
		if message.GetDescription() == "" {
			t.Error("the message itself was changed")
		}
		w.serve("1.1", "new")
		must(t, w.inventory(to("new")).Invoke(t.Context(), call))
		if got := w.servers["new"].typed[0].(*v1.CreateVolumeRequest); got.GetDescription() == "" || got.Weight != nil {
			t.Errorf("it got %v", got)
		}
		err := w.inventory(to("old")).Invoke(t.Context(), &client.TypedCall{
			Path: v1.InventoryService_CreateVolume_FullMethodName, Message: &v1.CreateVolumeRequest{Priority: proto.Int32(1)},
			Result: &v1.CreateVolumeResponse{},
		})
		wantError(t, err, rpc.UnsupportedVersion, true, "field priority", "needs version 1.1")
	},
	"each server of a typed fanout gets what it can": func(t *testing.T, w *world) {
		w.serve("1.0", "old")
		w.serve("1.2", "new")
		must(t, w.inventory().Invoke(t.Context(), &client.TypedCall{
			Path: v1.InventoryService_InvalidateCache_FullMethodName, Message: &v1.InvalidateCacheRequest{Name: "v", Labels: []string{"x"}},
			Result: &emptypb.Empty{},
		}))
		settle(w)
		for name, want := range map[string]int{"old": 0, "new": 1} {
			s := w.servers[name]
			if len(s.typed) != 1 || len(s.typed[0].(*v1.InvalidateCacheRequest).GetLabels()) != want {
				t.Errorf("%s got %v", name, s.typed)
			}
		}
	},
	"a stream opens at the version of its target": func(t *testing.T, w *world) {
		w.serve("1.1", "old")
		w.serve("1.2", "new")
		later := &v1.ImportVolumesRequest{Name: "v", Replace: true}
		s := w.importing(t, w.inventory(version("1.2")))
		must(t, s.Send(&v1.ImportVolumesRequest{Name: "v"}))
		must(t, s.Send(later))
		must(t, s.CloseSend())
		must(t, s.Receive(&v1.ImportVolumesResponse{}))
		wantRuns(t, w.servers["old"])

		s = w.importing(t, w.inventory(to("old")))
		must(t, s.Send(&v1.ImportVolumesRequest{Name: "v", Labels: map[string]string{"a": "b"}}))
		settle(w)
		wantError(t, s.Send(later), rpc.UnsupportedVersion, false, "replace", "opened at 1.1")
		wantError(t, s.Receive(&v1.ImportVolumesResponse{}), rpc.UnsupportedVersion, false)
		if got := w.servers["old"].typed[0].(*v1.ImportVolumesRequest); len(got.GetLabels()) != 0 {
			t.Errorf("it got %v", got)
		}
	},
}

func version(v string) func(*client.Settings) {
	return func(s *client.Settings) { s.Target.Version = v }
}

func limit(v string) func(*client.Settings) { return func(s *client.Settings) { s.Cap = v } }

// forms returns variants that tell their version.
func forms(versions ...string) client.Variants {
	var list client.Variants
	for _, v := range versions {
		list = append(list, client.Variant{Version: v, Args: map[string]string{"at": v}})
	}
	return list
}

// wantEcho checks which of three variants is sent.
func wantEcho(t *testing.T, c *client.Client, want string) {
	t.Helper()
	var got map[string]string
	must(t, c.Call(t.Context(), "echo", forms("1.2", "1.1", "1.0"), &got))
	if !slices.Equal([]string{got["at"]}, []string{want}) {
		t.Errorf("got %v, want %s", got, want)
	}
}
