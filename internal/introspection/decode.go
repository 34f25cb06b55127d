// Package introspection converts the reports of processes from the protocol's messages to package
// rpc.
package introspection

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Decode converts the report of a process. Malformed versions, which only a foreign server sends,
// become zero versions, and impossible times become the nearest possible ones.
func Decode(m *pb.GetInfoResponse) *rpc.Info {
	return &rpc.Info{
		BootID: m.GetBootId(), ProcessID: int(m.GetProcessId()), Build: m.GetBuild(),
		Uptime: m.GetUptime().AsDuration(), Servers: each(m.GetServers(), server),
		Policy: policy(m.GetPolicy()), Limits: each(m.GetLimits(), limit), Sessions: sessions(m.GetSessions()), Zone: m.GetZone(),
	}
}

func sessions(m *pb.SessionsInfo) *rpc.SessionsInfo {
	if m == nil {
		return nil
	}
	return &rpc.SessionsInfo{
		Open: m.GetOpen(), Lost: m.GetLost(), Running: m.GetRunning(), Kept: m.GetKept(), Credit: m.GetCredit(),
	}
}

func policy(m *pb.PolicyInfo) *rpc.PolicyInfo {
	if m == nil {
		return nil
	}
	return &rpc.PolicyInfo{
		DryRun: m.GetDryRun(), Since: moment(m.GetSince()), Rules: each(m.GetRules(), rule),
		Denied: m.GetDenied(), WouldDeny: m.GetWouldDeny(), Problem: m.GetProblem(),
	}
}

func rule(m *pb.RuleInfo) rpc.RuleInfo {
	return rpc.RuleInfo{Name: m.GetName(), Allowed: m.GetAllowed()}
}

func limit(m *pb.LimitInfo) rpc.LimitInfo {
	return rpc.LimitInfo{Reason: m.GetReason(), Refused: m.GetRefused()}
}

var states = map[pb.State]rpc.State{
	pb.State_STATE_ACTIVE: rpc.StateActive, pb.State_STATE_HELD: rpc.StateHeld,
	pb.State_STATE_DRAINING: rpc.StateDraining, pb.State_STATE_STOPPING: rpc.StateStopping,
}

func server(m *pb.ServerInfo) rpc.ServerInfo {
	return rpc.ServerInfo{
		InstanceID: m.GetInstanceId(), Exchange: m.GetExchange(), Topic: m.GetTopic(), Server: m.GetServer(),
		State: states[m.GetState()], Endpoints: each(m.GetEndpoints(), endpoint),
		Running: m.GetRunning(), Queued: m.GetQueued(), Refused: m.GetRefused(),
		Requests: each(m.GetRequests(), request), Uncounted: m.GetUncounted(),
	}
}

func endpoint(m *pb.EndpointInfo) rpc.EndpointInfo {
	e := rpc.EndpointInfo{
		Namespaces: m.GetNamespaces(), Version: version(m.GetVersion()), Methods: each(m.GetMethods(), method),
		Since: version(m.GetSince()), DeprecatedSince: version(m.GetDeprecatedSince()), Service: m.GetService(),
	}
	if m.GetFallback() != nil {
		fallback := method(m.GetFallback())
		e.Fallback = &fallback
	}
	return e
}

func method(m *pb.MethodInfo) rpc.MethodInfo {
	return rpc.MethodInfo{
		Name: m.GetName(), Streaming: m.GetStreaming(), Arguments: each(m.GetArguments(), argument),
		ExtraArguments: m.GetExtraArguments(), Result: m.GetResult(),
		Started: m.GetStarted(), Failed: m.GetFailed(),
		Since: version(m.GetSince()), DeprecatedSince: version(m.GetDeprecatedSince()),
	}
}

func argument(m *pb.ArgumentInfo) rpc.ArgumentInfo {
	return rpc.ArgumentInfo{Name: m.GetName(), Type: m.GetType(), Optional: m.GetOptional()}
}

func request(m *pb.RequestCount) rpc.RequestCount {
	return rpc.RequestCount{
		Namespace: m.GetNamespace(), Method: m.GetMethod(), Version: version(m.GetVersion()), Caller: m.GetCaller(), Identity: m.GetIdentity(),
		Accepted: m.GetAccepted(), Refused: m.GetRefused(),
		FirstSeen: moment(m.GetFirstSeen()), LastSeen: moment(m.GetLastSeen()),
	}
}

func each[M, V any](list []M, decode func(M) V) []V {
	if len(list) == 0 {
		return nil
	}
	values := make([]V, len(list))
	for i, m := range list {
		values[i] = decode(m)
	}
	return values
}

// version parses a version that a server may omit.
func version(text string) rpc.Version {
	v, _ := rpc.ParseVersion(text)
	return v
}

// earliest and latest bound the times that RFC 3339, and with it JSON, can represent.
var (
	earliest = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
)

// moment returns a reported time, or the nearest time that JSON can represent, since the clock of a
// server may be far off.
func moment(reported *timestamppb.Timestamp) time.Time {
	seconds := min(max(reported.GetSeconds(), earliest.Unix()), latest.Unix())
	nanos := min(max(reported.GetNanos(), 0), int32(time.Second-1))
	return time.Unix(seconds, int64(nanos)).UTC()
}
