package memcarrier

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// message is the part of a request that is sent. It shares no mutable data with the request.
type message struct {
	request carrier.Request
	content []byte // of a typed message
	caller  string
	from    string // the address of the sender
}

// pack returns the message of a request, or an error if the request cannot be encoded.
func pack(r *carrier.Request, caller string) (*message, error) {
	m := &message{request: *r, caller: caller, from: "a client in memory"}
	m.request.Metadata = ofProgram(r.Metadata)
	var err error
	switch {
	case r.Typed == nil && !utf8.ValidString(r.Kwargs+r.Context):
		err = errors.New("it is not UTF-8")
	case r.Typed != nil && r.Typed.Message != nil:
		m.content, err = proto.Marshal(r.Typed.Message)
	}
	if err != nil {
		return nil, unencodable(err)
	}
	return m, nil
}

func unencodable(err error) *rpc.Error {
	return &rpc.Error{Kind: rpc.BadArguments, NotStarted: true, Cause: err, Message: "the message cannot be encoded: " + err.Error()}
}

// ofProgram returns metadata without reserved names.
func ofProgram(md rpc.Metadata) rpc.Metadata {
	own := rpc.Metadata{}
	for name, values := range md {
		if name = strings.ToLower(name); !strings.HasPrefix(name, "oslorpc-") && !strings.HasPrefix(name, "grpc-") {
			own[name] = slices.Clone(values)
		}
	}
	return own
}

// Metadata implements dispatch.Origin.
func (m *message) Metadata() rpc.Metadata { return ofProgram(m.request.Metadata) }

// Peer implements dispatch.Origin.
func (m *message) Peer() rpc.Peer { return rpc.Peer{Addr: m.from} }

// unpack returns a message in the form that an intake gets.
func (m *message) unpack() *intake.Message {
	r := &m.request
	in := &intake.Message{InstanceID: r.InstanceID}
	in.Target, in.Method, in.ID, in.OrderKey = r.Target, r.Method, r.ID, r.OrderKey
	in.Kwargs, in.Context, in.Caller, in.Monitored, in.Origin = r.Kwargs, r.Context, m.caller, r.Silence > 0, m
	in.Behalf = r.Caller
	if r.Missed > 0 {
		in.Missed = &r.Missed
	}
	if r.Typed == nil {
		return in
	}
	in.Typed.Service, in.Method, _ = strings.Cut(strings.TrimPrefix(r.Typed.Path, "/"), "/")
	if r.InstanceID != "" { // the instance says it all
		in.Target = rpc.Target{}
	}
	in.Version, _ = rpc.ParseVersion(r.Target.Version)
	in.HasVersion = r.Target.Version != ""
	return in
}

// carried returns an error of a process in the form that its sender gets.
func carried(err error) error {
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok {
		return &rpc.Error{Kind: rpc.OutcomeUnknown, Message: err.Error()}
	}
	sent := &rpc.Error{
		Kind: e.Kind, NotStarted: e.NotStarted, Message: e.Message, Method: e.Method, Path: e.Path,
		Server: e.Server, InstanceID: e.InstanceID,
	}
	if remote, ok := errors.AsType[*rpc.RemoteError](err); ok && e.Kind == rpc.Remote {
		copied := *remote
		sent.Cause = &copied
	} else if why, ok := errors.AsType[refusal.Reason](err); ok {
		sent.Cause = why
	}
	if sent.Message == "" && e.Cause != nil {
		sent.Message = e.Cause.Error()
	}
	return sent
}

// gaveUp is the error for a message whose ctx ended.
func gaveUp(ctx context.Context, notStarted bool) *rpc.Error {
	e := &rpc.Error{Kind: rpc.Canceled, NotStarted: notStarted, Cause: context.Cause(ctx), Message: "canceled"}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		e.Kind, e.Message = rpc.Timeout, "the deadline passed"
	}
	e.Message += soFar(notStarted)
	return e
}

func soFar(notStarted bool) string {
	if notStarted {
		return " before it arrived"
	}
	return " before the answer came; the method may have run"
}

// broke is the error for a message whose connection broke.
func (l *Link) broke(notStarted bool) *rpc.Error {
	switch closed := l.carrier.closed.Load(); {
	case closed && notStarted:
		return &rpc.Error{Kind: rpc.Invalid, NotStarted: true, Message: "the transport was closed" + soFar(true)}
	case closed:
		return &rpc.Error{Kind: rpc.OutcomeUnknown, Message: "the transport was closed" + soFar(false)}
	case notStarted:
		return &rpc.Error{Kind: rpc.Unreachable, NotStarted: true, Message: "the connection was lost" + soFar(true)}
	default:
		return &rpc.Error{Kind: rpc.OutcomeUnknown, Message: "the connection was lost" + soFar(false)}
	}
}
