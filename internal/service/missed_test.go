package service

import (
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// hints are the reports of missed messages that a server got.
type hints struct {
	mu  sync.Mutex
	all []time.Duration
}

func (h *hints) tell(ago time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, ago)
}

// want checks the reports since the last call.
func (h *hints) want(t *testing.T, want ...time.Duration) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.all, want) {
		t.Errorf("told of %v, want %v", h.all, want)
	}
	h.all = nil
}

func TestMissedIsTold(t *testing.T) {
	t.Parallel()
	var one, two hints
	s, other := newServer(t, "q", "net1", methods{"foo": echo()}), newServer(t, "q", "net2", methods{"foo": echo()})
	s.Missed, other.Missed = one.tell, two.tell
	f := serve(t, s, other, newServer(t, "q", "net3", methods{"foo": echo()}))
	send := func(m *pb.CallRequest) map[string]error {
		m.Message.Target.Topic = new("q")
		return f.attempt(t, m)
	}
	for _, ago := range []time.Duration{0, 12 * time.Second} {
		send(&pb.CallRequest{Message: &pb.Message{Target: &pb.Target{Server: new("net1")}, Method: "foo", Missed: durationpb.New(ago)}})
		one.want(t, ago, ago, ago, ago)
	}
	send(&pb.CallRequest{Message: &pb.Message{Target: &pb.Target{Server: new("net1")}, Method: "foo"}})
	send(&pb.CallRequest{Message: &pb.Message{Target: &pb.Target{}, InstanceId: "b0.net1", Method: "foo", Missed: durationpb.New(1)}}) // misdirected
	one.want(t)
	for form, err := range send(&pb.CallRequest{Message: &pb.Message{Target: &pb.Target{Server: new("net3")}, Method: "foo", Missed: durationpb.New(1)}}) {
		if err != nil {
			t.Errorf("%s for a server that does not care: %v", form, err)
		}
	}
	// A server that refuses the message still gets the report, and its answer is signed.
	for _, err := range send(&pb.CallRequest{Message: &pb.Message{Target: &pb.Target{}, InstanceId: "b1.net2", Method: "bar", Missed: durationpb.New(1)}}) {
		if e := check(t, err, rpc.NoSuchMethod, true); e.Server != "net2" {
			t.Errorf("signed by %q", e.Server)
		}
	}
	two.want(t, 1, 1, 1, 1)
	one.want(t)
}

func TestMissedThatIsNoTime(t *testing.T) {
	t.Parallel()
	var h hints
	s := newServer(t, "q", "net1", methods{"foo": echo()})
	s.Missed = h.tell
	f := serve(t, s)
	for _, bad := range []*durationpb.Duration{durationpb.New(-1), {Seconds: math.MaxInt64}, {Seconds: 1, Nanos: -1}, {Nanos: math.MaxInt32}} {
		for form, err := range f.attempt(t, &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "foo", Missed: bad}}) {
			if e := check(t, err, rpc.InvalidTarget, true, "`missed`"); e.Server != "" {
				t.Errorf("%s: %+v is signed, as if it had been told", form, e)
			}
		}
	}
	h.want(t)
}
