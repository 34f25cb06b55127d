package rpcstatus

import (
	"encoding/json"
	"errors"
	"testing"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/oslorpc/oslorpc/internal/golden"
	"github.com/oslorpc/oslorpc/internal/refusal"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

const goldenFile = "statuses.json"

// goldenRemote is a remote error in proto/testdata.
type goldenRemote struct {
	Type    string   `json:"type"`
	Message string   `json:"message"`
	Stack   []string `json:"stack"`
	Hops    []string `json:"hops"`
	Data    string   `json:"data"`
}

// goldenError is an error in proto/testdata.
type goldenError struct {
	Kind        string        `json:"kind"`
	SafeToRetry bool          `json:"safe_to_retry"`
	Reason      string        `json:"reason"`
	Method      string        `json:"method"`
	Path        string        `json:"path"`
	Server      string        `json:"server"`
	InstanceID  string        `json:"instance_id"`
	Remote      *goldenRemote `json:"remote"`
}

var reasons = map[refusal.Reason]string{
	refusal.Full: "full", refusal.Stopping: "stopping", refusal.Misdirected: "misdirected", refusal.Declined: "declined", refusal.Foreign: "foreign",
}

func toGolden(e *rpc.Error) goldenError {
	g := goldenError{
		Kind: e.Kind.Name(), SafeToRetry: e.NotStarted, Method: e.Method, Path: e.Path, Server: e.Server, InstanceID: e.InstanceID,
	}
	if why, ok := errors.AsType[refusal.Reason](e.Cause); ok {
		g.Reason = reasons[why]
	}
	if r, ok := errors.AsType[*rpc.RemoteError](e.Cause); ok {
		g.Remote = &goldenRemote{r.Type, r.Message, r.Stack, r.Hops, r.Data}
	}
	return g
}

// Implementations in other languages draw the same conclusions from statuses.
func TestGoldenStatuses(t *testing.T) {
	type read struct {
		Case string `json:"case"`
		// Sent, Headers and Replied are what is known besides the status: a stream was opened for
		// the message, headers arrived, a reply arrived.
		Sent    bool   `json:"sent"`
		Headers bool   `json:"headers"`
		Replied bool   `json:"replied"`
		Code    uint32 `json:"code"`
		Text    string `json:"text"`
		// Details are ErrorDetails. A string is a detail that cannot be decoded.
		Details []json.RawMessage `json:"details"`
		// Status is the encoded google.rpc.Status.
		Status []byte      `json:"status"`
		Error  goldenError `json:"error"`
	}
	cases := golden.Load[read](t, goldenFile, "decoded")
	for n, c := range cases {
		p := &spb.Status{Code: int32(c.Code), Message: c.Text}
		for _, text := range c.Details {
			p.Details = append(p.Details, goldenDetail(t, text))
		}
		encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		v := Evidence{Sent: c.Sent, Contract: true, Headers: c.Headers, Replied: c.Replied}
		got := toGolden(v.Decode(status.FromProto(p).Err()))
		if !golden.Updating() && (!golden.Equal(t, got, c.Error) || string(encoded) != string(c.Status)) {
			t.Errorf("%s: got %+v, want %+v", c.Case, got, c.Error)
		}
		cases[n].Error, cases[n].Status = got, encoded
	}
	golden.Save(t, goldenFile, "decoded", cases)
}

func goldenDetail(t *testing.T, text json.RawMessage) *anypb.Any {
	t.Helper()
	detail := &pb.ErrorDetail{}
	if text[0] == '"' {
		return &anypb.Any{TypeUrl: "type.googleapis.com/" + string(detail.ProtoReflect().Descriptor().FullName()), Value: []byte{0xff}}
	}
	if err := protojson.Unmarshal(text, detail); err != nil {
		t.Fatal(err)
	}
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(detail)
	if err != nil {
		t.Fatal(err)
	}
	return &anypb.Any{TypeUrl: "type.googleapis.com/" + string(detail.ProtoReflect().Descriptor().FullName()), Value: encoded}
}

// Implementations in other languages make the same statuses from errors.
func TestGoldenErrors(t *testing.T) {
	type written struct {
		Case    string          `json:"case"`
		Error   goldenError     `json:"error"`
		Message string          `json:"message"`
		Code    codes.Code      `json:"code"`
		Text    string          `json:"text"`
		Detail  json.RawMessage `json:"detail"`
	}
	cases := golden.Load[written](t, goldenFile, "encoded")
	for n, c := range cases {
		st := Encode(c.Error.ours(t, c.Message), nil)
		detail, garbled := detailOf(st)
		if detail == nil || garbled {
			t.Fatalf("%s has no detail", c.Case)
		}
		text, err := protojson.Marshal(detail)
		if err != nil {
			t.Fatal(err)
		}
		if !golden.Updating() && (st.Code() != c.Code || st.Message() != c.Text || !golden.Equal(t, json.RawMessage(text), c.Detail)) {
			t.Errorf("%s: got %v %q %s", c.Case, st.Code(), st.Message(), text)
		}
		cases[n].Code, cases[n].Text, cases[n].Detail = st.Code(), st.Message(), text
	}
	golden.Save(t, goldenFile, "encoded", cases)
}

// ours returns the error of a case.
func (g goldenError) ours(t *testing.T, message string) *rpc.Error {
	t.Helper()
	e := &rpc.Error{
		Message: message, NotStarted: g.SafeToRetry, Method: g.Method, Path: g.Path, Server: g.Server, InstanceID: g.InstanceID,
	}
	for k := rpc.Unknown; k <= rpc.Untrusted; k++ {
		if k.Name() == g.Kind {
			e.Kind = k
		}
	}
	for why, name := range reasons {
		if name == g.Reason {
			e.Cause = why
		}
	}
	if r := g.Remote; r != nil {
		e.Cause = &rpc.RemoteError{Type: r.Type, Message: r.Message, Stack: r.Stack, Hops: r.Hops, Data: r.Data}
	}
	return e
}
