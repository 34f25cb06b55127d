package grpccarrier

import (
	"cmp"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/payload"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// envelope is the protocol's message for a dynamic request, with all values that it points to, so
// that they need only one allocation.
type envelope struct {
	message         pb.Message
	target          pb.Target
	names           rpc.Target
	context, kwargs pb.Payload
	contextText     pb.Payload_Json
	kwargsText      pb.Payload_Json
	missed          durationpb.Duration
}

// fill fills the envelope from a request, and returns the message.
func (e *envelope) fill(r *carrier.Request) *pb.Message {
	e.names = r.Target // the request may be used again, and gRPC may not be done with this one
	t, n := &e.target, &e.names
	t.Exchange, t.Topic, t.Namespace, t.Version, t.Server = given(&n.Exchange), given(&n.Topic), given(&n.Namespace), given(&n.Version), given(&n.Server)
	m := &e.message
	m.Target, m.Method, m.Id, m.InstanceId, m.OrderKey = t, r.Method, r.ID, r.InstanceID, r.OrderKey
	e.kwargsText.Json = r.Kwargs
	e.kwargs.Encoding, m.Kwargs = &e.kwargsText, &e.kwargs
	if r.Context != "" {
		e.contextText.Json = r.Context
		e.context.Encoding, m.Context = &e.contextText, &e.context
	}
	if r.Caller != "" {
		m.Caller = &pb.Caller{}
		_ = proto.Unmarshal([]byte(r.Caller), m.GetCaller()) // we encoded it
	}
	if r.Missed > 0 {
		e.missed.Seconds, e.missed.Nanos = int64(r.Missed/time.Second), int32(r.Missed%time.Second)
		m.Missed = &e.missed
	}
	return m
}

// given returns a pointer to a field, or nil if the field is empty.
func given(s *string) *string {
	if *s == "" {
		return nil
	}
	return s
}

// resultText returns a result as JSON text. A peer in another language may send protobuf values.
func resultText(p *pb.Payload) (string, error) {
	text, err := payload.Text(p, rpc.BadResult)
	return cmp.Or(text, "null"), err
}
