package introspection

import (
	"math"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	first, last := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), time.Date(2026, 1, 2, 4, 0, 0, 0, time.UTC)
	got := Decode(&pb.GetInfoResponse{
		Policy: &pb.PolicyInfo{
			DryRun: true, Since: timestamppb.New(first), Rules: []*pb.RuleInfo{{Name: "r", Allowed: 1}}, Denied: 2, WouldDeny: 3, Problem: "p",
		},
		Limits: []*pb.LimitInfo{{Reason: "many", Refused: 4}},
		BootId: "boot", ProcessId: 7, Build: "v1.2.3", Uptime: durationpb.New(time.Hour),
		Servers: []*pb.ServerInfo{{
			InstanceId: "id", Exchange: "exchange", Topic: "topic", Server: "server", State: pb.State_STATE_STOPPING,
			Running: 1, Queued: 2, Refused: 3, Uncounted: 4,
			Endpoints: []*pb.EndpointInfo{{
				Namespaces: []string{"control", ""}, Version: "2.1", Since: "2.0", DeprecatedSince: "2.1", Service: "acme.v2.Control",
				Methods: []*pb.MethodInfo{{
					Name: "get", Streaming: true, ExtraArguments: true, Result: "integer", Started: 5, Failed: 6,
					Since: "2.0.1", DeprecatedSince: "2.1",
					Arguments: []*pb.ArgumentInfo{{Name: "a", Type: "string", Optional: true}},
				}},
				Fallback: &pb.MethodInfo{Result: "any"},
			}},
			Requests: []*pb.RequestCount{{
				Namespace: "control", Method: "get", Version: "2.0", Caller: "nova", Accepted: 8, Refused: 9,
				FirstSeen: timestamppb.New(first), LastSeen: timestamppb.New(last),
			}},
		}},
	})
	v := func(minor, revision uint32) rpc.Version {
		return rpc.Version{Major: 2, Minor: minor, Revision: revision}
	}
	want := &rpc.Info{
		Policy: &rpc.PolicyInfo{DryRun: true, Since: first, Rules: []rpc.RuleInfo{{Name: "r", Allowed: 1}}, Denied: 2, WouldDeny: 3, Problem: "p"},
		Limits: []rpc.LimitInfo{{Reason: "many", Refused: 4}},
		BootID: "boot", ProcessID: 7, Build: "v1.2.3", Uptime: time.Hour,
		Servers: []rpc.ServerInfo{{
			InstanceID: "id", Exchange: "exchange", Topic: "topic", Server: "server", State: rpc.StateStopping,
			Running: 1, Queued: 2, Refused: 3, Uncounted: 4,
			Endpoints: []rpc.EndpointInfo{{
				Namespaces: []string{"control", ""}, Version: v(1, 0), Since: v(0, 0), DeprecatedSince: v(1, 0), Service: "acme.v2.Control",
				Methods: []rpc.MethodInfo{{
					Name: "get", Streaming: true, ExtraArguments: true, Result: "integer", Started: 5, Failed: 6,
					Since: v(0, 1), DeprecatedSince: v(1, 0),
					Arguments: []rpc.ArgumentInfo{{Name: "a", Type: "string", Optional: true}},
				}},
				Fallback: &rpc.MethodInfo{Result: "any"},
			}},
			Requests: []rpc.RequestCount{{
				Namespace: "control", Method: "get", Version: v(0, 0), Caller: "nova", Accepted: 8, Refused: 9,
				FirstSeen: first, LastSeen: last,
			}},
		}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
}

// A new field of the protocol must be decoded or left out on purpose.
func TestEveryFieldIsDecoded(t *testing.T) {
	t.Parallel()
	for message, value := range map[reflect.Type]any{
		reflect.TypeFor[pb.GetInfoResponse](): rpc.Info{},
		reflect.TypeFor[pb.ServerInfo]():      rpc.ServerInfo{},
		reflect.TypeFor[pb.EndpointInfo]():    rpc.EndpointInfo{},
		reflect.TypeFor[pb.MethodInfo]():      rpc.MethodInfo{},
		reflect.TypeFor[pb.ArgumentInfo]():    rpc.ArgumentInfo{},
		reflect.TypeFor[pb.RequestCount]():    rpc.RequestCount{},
		reflect.TypeFor[pb.PolicyInfo]():      rpc.PolicyInfo{},
		reflect.TypeFor[pb.RuleInfo]():        rpc.RuleInfo{},
		reflect.TypeFor[pb.LimitInfo]():       rpc.LimitInfo{},
		reflect.TypeFor[pb.GatewayInfo]():     rpc.GatewayInfo{},
	} {
		fields := 0
		for field := range message.Fields() {
			if field.IsExported() {
				fields++
			}
		}
		if want := reflect.TypeOf(value).NumField(); fields != want {
			t.Errorf("%s has %d fields, and %T %d", message, fields, value, want)
		}
	}
}

func TestDecodeOfNothing(t *testing.T) {
	t.Parallel()
	if got := Decode(&pb.GetInfoResponse{}); !reflect.DeepEqual(got, &rpc.Info{}) {
		t.Errorf("got %+v", got)
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	for number := range pb.State_name {
		state := pb.State(number)
		if _, known := states[state]; known != (state != pb.State_STATE_UNSPECIFIED) {
			t.Errorf("%s is decoded to %q", state, states[state])
		}
	}
	if got := server(&pb.ServerInfo{State: 99}).State; got != "" {
		t.Errorf("a state of a newer server is decoded to %q", got)
	}
}

func TestMalformedVersionsAreZero(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "1", "new", "1.2.3.4"} {
		if got := version(text); got != (rpc.Version{}) {
			t.Errorf("%q is decoded to %s", text, got)
		}
	}
}

// Every time that a server reports can be expressed in JSON.
func TestTimesOfServers(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for name, test := range map[string]struct {
		reported *timestamppb.Timestamp
		want     string
	}{
		"an ordinary time":  {timestamppb.New(now), `"2026-01-02T03:04:05.000000006Z"`},
		"none":              {nil, `"1970-01-01T00:00:00Z"`},
		"beyond year 9999":  {&timestamppb.Timestamp{Seconds: 253402300800}, `"9999-12-31T23:59:59Z"`},
		"the latest":        {&timestamppb.Timestamp{Seconds: math.MaxInt64, Nanos: math.MaxInt32}, `"9999-12-31T23:59:59.999999999Z"`},
		"the earliest":      {&timestamppb.Timestamp{Seconds: math.MinInt64, Nanos: math.MinInt32}, `"0001-01-01T00:00:00Z"`},
		"an impossible one": {&timestamppb.Timestamp{Seconds: 1, Nanos: -5}, `"1970-01-01T00:00:01Z"`},
	} {
		text, err := moment(test.reported).MarshalJSON()
		if err != nil || string(text) != test.want {
			t.Errorf("%s: got %s, %v, want %s", name, text, err, test.want)
		}
	}
}
