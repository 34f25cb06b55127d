package oslorpc_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func TestServersKnowTheirCallers(t *testing.T) {
	serve(t, "node1", newAgent("node1").endpoint("1.2"))
	machine, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for want, options := range map[string][]oslorpc.TransportOption{
		"neutron-agent@node1":                     {oslorpc.WithCallerName("neutron-agent@node1")},
		filepath.Base(os.Args[0]) + "@" + machine: {oslorpc.WithCallerName("")},
		"other": {oslorpc.WithDialOptions(grpc.WithUserAgent("other"))},
	} {
		c := open(t, options...).Client(oslorpc.Target{Topic: "agents"})
		got, err := oslorpc.Call[asked](t.Context(), c, "asked", nil)
		if err != nil || got.Caller != want {
			t.Errorf("got %q, %v, want %q", got.Caller, err, want)
		}
	}
}

func TestCallerNamesThatAreRefused(t *testing.T) {
	for name, part := range map[string]string{
		"two words": "no spaces", "tab\t": "printable", "é": "ASCII", "\x7f": "printable", strings.Repeat("a", 129): "129 bytes",
	} {
		_, err := oslorpc.Open("memory://callers", oslorpc.WithCallerName(name))
		wantKind(t, err, oslorpc.Invalid, true)
		wantText(t, err, part)
	}
}

func TestInfoTellsWhoAskedForWhat(t *testing.T) {
	s := serve(t, "node1", newAgent("node1").endpoint("1.2"))
	old := open(t, oslorpc.WithCallerName("old")).Client(oslorpc.Target{Topic: "agents"})
	for range 2 {
		if err := old.Cast(t.Context(), "note", nil); err != nil {
			t.Fatal(err)
		}
	}
	_, err := oslorpc.Call[any](t.Context(), old.Prepare(oslorpc.WithVersion("1.1")), "gone", nil)
	wantKind(t, err, oslorpc.NoSuchMethod, true)
	i, _ := s.Instance()
	info, err := open(t).Info(t.Context(), i, oslorpc.WithRequests())
	if err != nil {
		t.Fatal(err)
	}
	rows := info.Servers[0].Requests
	if len(rows) != 2 || rows[0].Refused == 0 || rows[0].Version.String() != "1.1" || rows[1].Accepted != 2 || rows[1].Caller != "old" {
		t.Errorf("got %v", rows)
	}
	if info, err = open(t).Info(t.Context(), i); err != nil || len(info.Servers[0].Requests) != 0 {
		t.Errorf("without being asked: %v, %v", info, err)
	}
}
