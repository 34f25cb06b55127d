package oslorpc_test

import (
	"context"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// The URL, the program, or the environment chooses the carrier, in this order. The default is a
// session.
func TestCarrier(t *testing.T) {
	s := serve(t, "node1", newAgent("node1").endpoint("1.0"))
	instance, _ := s.Instance()
	observer := openAt(t, url(t)+"?carrier=unary") // it has no session of its own
	for _, test := range []struct {
		ofURL, variable string
		option          rpc.Carrier
		session         bool
	}{
		{"", "", "", true},
		{"", "unary", "", false},
		{"", "auto", "", true},
		{"", "session", "", true},
		{"", "session", rpc.CarrierUnary, false},
		{"", "unary", rpc.CarrierAuto, true},
		{"", "unary", rpc.CarrierSession, true},
		{"?carrier=unary", "session", rpc.CarrierSession, false},
		{"?carrier=session", "unary", rpc.CarrierUnary, true},
		{"?carrier=auto", "unary", rpc.CarrierUnary, true},
	} {
		t.Setenv("OSLORPC_CARRIER", test.variable)
		transport := openAt(t, url(t)+test.ofURL, oslorpc.WithCarrier(test.option))
		c := transport.Client(oslorpc.Target{Topic: "agents"})
		// With auto, the first messages do not wait for the session.
		has := hasSession(t, transport, instance)
		for n := 0; !has && (test.session || n <= 100); n++ {
			if _, err := oslorpc.Call[string](t.Context(), c, "whoami", nil); err != nil {
				t.Fatal(err)
			}
			has = hasSession(t, transport, instance)
		}
		if has != test.session {
			t.Errorf("%+v: there is a session: %t", test, has)
		}
		if err := transport.Close(); err != nil {
			t.Error(err)
		}
		for hasSession(t, observer, instance) { // of the transport that was closed
			if t.Context().Err() != nil {
				return
			}
		}
	}
}

// hasSession reports whether a process has a session.
func hasSession(t *testing.T, by *oslorpc.Transport, i oslorpc.Instance) bool {
	t.Helper()
	info, err := by.Info(context.WithoutCancel(t.Context()), i)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sessions != nil && info.Sessions.Open > 0
}

func TestWrongCarrier(t *testing.T) {
	_, err := oslorpc.Open("memory://x?carrier=pigeon")
	wantKind(t, err, oslorpc.Invalid, true)
	wantText(t, err, `"pigeon"`, "carrier=auto")
	_, err = oslorpc.Open("memory://x", oslorpc.WithCarrier("pigeon"))
	wantKind(t, err, oslorpc.Invalid, true)
	t.Setenv("OSLORPC_CARRIER", "pigeon")
	_, err = oslorpc.Open("memory://x")
	wantKind(t, err, oslorpc.Invalid, true)
}
