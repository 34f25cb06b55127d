package conformance

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

type options = []oslorpc.ClientOption

// Calls and casts carry the method, the arguments and the context. They carry a version or a
// namespace only if it is given. oslo.messaging's empty target gets a topic here, since nothing is
// sent without a topic.
func TestCastCall(t *testing.T) {
	type test struct {
		row

		kind              string
		dict              oslorpc.RequestContext
		args              map[string]any
		context, argsJSON string
	}
	user := oslorpc.RequestContext{"user": "testuser", "project": "testtenant"}
	const userJSON = `{"user": "testuser", "project": "testtenant"}`
	args := map[string]any{"bar": "blaa", "foobar": 11.01}
	const argsJSON = `{"bar": "blaa", "foobar": 11.01}`
	each(t, "CC", 4, nil, []test{
		{row{id: "CC1"}, "cast", oslorpc.RequestContext{}, map[string]any{}, "", `{}`},
		{row{id: "CC2"}, "call", oslorpc.RequestContext{}, map[string]any{}, "", `{}`},
		{row{id: "CC3"}, "cast", user, args, userJSON, argsJSON},
		{row{id: "CC4"}, "call", user, args, userJSON, argsJSON},
	}, func(t *testing.T, test test) {
		for _, failFast := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				r, transport := record(t)
				c := transport.Client(oslorpc.Target{Topic: topic}, oslorpc.WithFailFast(failFast))
				if err := send(oslorpc.WithContext(t.Context(), test.dict), c, test.kind, "foo", test.args); err != nil {
					t.Fatal(err)
				}
				m := single(t, r)
				wantTarget(t, m, oslorpc.Target{Topic: topic})
				if m.kind != test.kind || m.GetMethod() != "foo" || m.GetId() == "" {
					t.Errorf("a %s of %q with the id %q was sent", m.kind, m.GetMethod(), m.GetId())
				}
				wantJSON(t, "context", m.GetContext(), test.context)
				wantJSON(t, "arguments", m.GetKwargs(), test.argsJSON)
			})
		}
	})
}

// single returns the only message that was recorded.
func single(t *testing.T, r *recorder) sent {
	t.Helper()
	got := r.recorded()
	if len(got) != 1 {
		t.Fatalf("%d messages were sent, not one: %v", len(got), got)
	}
	return got[0]
}

// wantTarget fails unless a message has this target on the wire and went to a matching instance.
// oslo.messaging's recorder is above the driver, which adds the default exchange. Ours is below, so
// a missing exchange becomes the default one.
func wantTarget(t *testing.T, m sent, want oslorpc.Target) {
	t.Helper()
	w := &pb.Target{Topic: &want.Topic, Exchange: &want.Exchange}
	if want.Exchange == "" {
		w.Exchange = new("openstack")
	}
	if want.Namespace != "" {
		w.Namespace = &want.Namespace
	}
	if want.Version != "" {
		w.Version = &want.Version
	}
	if want.Server != "" {
		w.Server = &want.Server
	}
	if got := m.GetTarget(); got.String() != w.String() {
		t.Errorf("the target on the wire is %v, want %v", got, w)
	}
	exchange, server, _ := strings.Cut(m.GetInstanceId(), "/")
	if exchange != w.GetExchange() || (want.Server != "" && server != want.Server) {
		t.Errorf("it went to %s of %s", server, exchange)
	}
}

// wantJSON fails unless a payload is this JSON, with numbers as written. If want is empty, the
// payload must be absent.
func wantJSON(t *testing.T, what string, p *pb.Payload, want string) {
	t.Helper()
	if want == "" {
		if p != nil {
			t.Errorf("%s: got %v, want none", what, p)
		}
		return
	}
	if got := p.GetJson(); !reflect.DeepEqual(decode(t, got), decode(t, want)) {
		t.Errorf("%s: got %s, want %s", what, got, want)
	}
}

func decode(t *testing.T, text string) (value any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewBufferString(text))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return value
}

const (
	topicFirst = "upstream requires a topic in the transport, which its table replaces with a recorder; here a message without a topic fails before that"
	fanoutAway = "upstream sends one message that says fanout; here each server gets a separate message, which it can accept, refuse or skip"
)

// Rows whose target has no topic in oslo.messaging have one here. Preparing twice must have the
// same effect as preparing once.
func TestPrepare(t *testing.T) {
	type test struct {
		row

		base    oslorpc.Target
		prepare options // nil: no prepare
		want    oslorpc.Target
		copies  int // how many messages are sent; 0: none, since the target is invalid
	}
	base := oslorpc.Target{Topic: topic}
	exchange := oslorpc.Target{Topic: topic, Exchange: "testexchange"}
	namespace := oslorpc.Target{Topic: topic, Namespace: "testnamespace"}
	version := oslorpc.Target{Topic: topic, Version: "1.1"}
	server := oslorpc.Target{Topic: topic, Server: "testserver"}
	fanout := oslorpc.Target{Topic: topic, Fanout: true}
	each(t, "P", 25, nil, []test{
		{row{"P1", topicFirst}, oslorpc.Target{}, nil, oslorpc.Target{}, 0},
		{row{id: "P2"}, exchange, nil, exchange, 1},
		{row{id: "P3"}, base, options{oslorpc.WithExchange("testexchange")}, exchange, 1},
		{row{id: "P4"}, exchange, options{oslorpc.WithExchange(oslorpc.None)}, base, 1},
		{row{id: "P5"}, oslorpc.Target{Topic: topic, Exchange: "ctorexchange"}, options{oslorpc.WithExchange("testexchange")}, exchange, 1},
		{row{id: "P6"}, base, nil, base, 1},
		{row{id: "P7"}, oslorpc.Target{}, options{oslorpc.WithTopic(topic)}, base, 1},
		{row{"P8", topicFirst}, base, options{oslorpc.WithTopic(oslorpc.None)}, oslorpc.Target{}, 0},
		{row{id: "P9"}, oslorpc.Target{Topic: "ctortopic"}, options{oslorpc.WithTopic(topic)}, base, 1},
		{row{id: "P10"}, namespace, nil, namespace, 1},
		{row{id: "P11"}, base, options{oslorpc.WithNamespace("testnamespace")}, namespace, 1},
		{row{id: "P12"}, namespace, options{oslorpc.WithNamespace(oslorpc.None)}, base, 1},
		{row{id: "P13"}, oslorpc.Target{Topic: topic, Namespace: "ctornamespace"}, options{oslorpc.WithNamespace("testnamespace")}, namespace, 1},
		{row{id: "P14"}, version, nil, version, 1},
		{row{id: "P15"}, base, options{oslorpc.WithVersion("1.1")}, version, 1},
		{row{id: "P16"}, version, options{oslorpc.WithVersion(oslorpc.None)}, base, 1},
		{row{id: "P17"}, oslorpc.Target{Topic: topic, Version: "ctorversion"}, options{oslorpc.WithVersion("1.1")}, version, 1},
		{row{id: "P18"}, server, nil, server, 1},
		{row{id: "P19"}, base, options{oslorpc.WithServer("testserver")}, server, 1},
		{row{id: "P20"}, server, options{oslorpc.WithServer(oslorpc.None)}, base, 1},
		{row{id: "P21"}, oslorpc.Target{Topic: topic, Server: "ctorserver"}, options{oslorpc.WithServer("testserver")}, server, 1},
		{row{"P22", fanoutAway}, fanout, nil, base, len(servers)},
		{row{"P23", fanoutAway}, base, options{oslorpc.WithFanout(true)}, base, len(servers)},
		{row{id: "P24"}, fanout, options{oslorpc.WithFanout(false)}, base, 1},
		{row{"P25", "upstream distinguishes false from None for a fanout on the wire; here both mean no, and neither is on the wire"},
			fanout, options{oslorpc.WithFanout(false)}, base, 1},
	}, func(t *testing.T, test test) {
		for _, times := range []int{1, 2} {
			synctest.Test(t, func(t *testing.T) {
				r, transport := record(t)
				c := transport.Client(test.base)
				for range times {
					if test.prepare != nil {
						c = c.Prepare(test.prepare...)
					}
				}
				err := c.Cast(t.Context(), "foo", nil)
				got := r.recorded()
				if len(got) != test.copies {
					t.Fatalf("%d messages were sent, want %d (error: %v)", len(got), test.copies, err)
				}
				if test.copies == 0 {
					wantKind(t, err, oslorpc.InvalidTarget)
					return
				}
				if err != nil {
					t.Error(err)
				}
				to := map[string]bool{}
				for _, m := range got {
					wantTarget(t, m, test.want)
					wantJSON(t, "arguments", m.GetKwargs(), `{}`)
					wantJSON(t, "context", m.GetContext(), "")
					to[m.GetInstanceId()] = true
				}
				if len(to) != test.copies {
					t.Errorf("%d messages went to %v", len(got), to)
				}
			})
		}
	})
}

// A call with fanout is an error. Multicall, which oslo.messaging no longer has, behaves like a
// call.
func TestCallFanout(t *testing.T) {
	type test struct {
		row

		fanout  bool
		prepare options
	}
	each(t, "F", 3, nil, []test{
		{row{id: "F1"}, true, nil},
		{row{id: "F2"}, false, options{oslorpc.WithFanout(true)}},
		{row{id: "F3"}, true, options{oslorpc.WithFanout(true)}},
	}, func(t *testing.T, test test) {
		for _, kind := range []string{"call", "multicall"} {
			synctest.Test(t, func(t *testing.T) {
				r, transport := record(t)
				c := transport.Client(oslorpc.Target{Topic: topic, Fanout: test.fanout}).Prepare(test.prepare...)
				wantKind(t, send(t.Context(), c, kind, "foo", nil), oslorpc.InvalidTarget)
				if got := r.recorded(); len(got) != 0 {
					t.Errorf("%v was sent", got)
				}
			})
		}
	})
}

func TestVersionCap(t *testing.T) {
	type test struct {
		row

		limit, version string
		prepare        options
		sent           bool
		want           string // the version on the wire, if it is sent
	}
	each(t, "VC", 8, nil, []test{
		{row{id: "VC1"}, "", "", nil, true, ""},
		{row{id: "VC2"}, "1.1", "1.0", nil, true, "1.0"},
		{row{id: "VC3"}, "2.0", "1.0", options{oslorpc.WithVersionCap("1.1"), oslorpc.WithVersion("1.0")}, true, "1.0"},
		{row{id: "VC4"}, "1.1", "1.0", options{oslorpc.WithVersionCap(oslorpc.None)}, true, "1.0"},
		{row{id: "VC5"}, "1.0", "1.1", nil, false, ""},
		{row{id: "VC6"}, "2.0", "", options{oslorpc.WithVersion("1.0")}, false, ""},
		{row{id: "VC7"}, "", "1.0", nil, true, "1.0"},
		{row{"VC8", "upstream refuses every message without a version under a cap, although the server would read 1.0; " +
			"here it counts as 1.0 for the cap as well"}, "1.0", "", nil, true, ""},
	}, func(t *testing.T, test test) {
		for _, kind := range []string{"call", "cast", "multicall"} {
			synctest.Test(t, func(t *testing.T) {
				r, transport := record(t)
				target := oslorpc.Target{Topic: topic, Version: test.version}
				c := transport.Client(target, oslorpc.WithVersionCap(test.limit)).Prepare(test.prepare...)
				err := send(t.Context(), c, kind, "foo", nil)
				if test.sent {
					if err != nil {
						t.Error(err)
					}
					wantTarget(t, single(t, r), oslorpc.Target{Topic: topic, Version: test.want})
					return
				}
				wantKind(t, err, oslorpc.VersionCapExceeded)
				if got := r.recorded(); len(got) != 0 {
					t.Errorf("%v was sent", got)
				}
			})
		}
	})
}
