package rpcstatus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/oslorpc/oslorpc/internal/refusal"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestErrorsOfGRPCItself(t *testing.T) {
	t.Parallel()
	of := func(c codes.Code) error { return status.Error(c, "the text") }
	const before, after = "it was not sent", "the method may have run"
	for _, test := range []struct {
		name string
		err  error
		sent bool
		want rpc.Kind
		text string
	}{
		{"unavailable before it was sent", of(codes.Unavailable), false, rpc.Unreachable, ""},
		{"unavailable after it was sent", of(codes.Unavailable), true, rpc.OutcomeUnknown, "connection was lost"},
		{"deadline before it was sent", of(codes.DeadlineExceeded), false, rpc.Timeout, before},
		{"deadline after it was sent", of(codes.DeadlineExceeded), true, rpc.Timeout, after},
		{"canceled before it was sent", of(codes.Canceled), false, rpc.Canceled, before},
		{"canceled after it was sent", of(codes.Canceled), true, rpc.Canceled, after},
		{"exhausted, but what", of(codes.ResourceExhausted), true, rpc.OutcomeUnknown, "does not say whether"},
		{"too large, but which", status.Error(codes.ResourceExhausted, "the text larger than max"), true, rpc.TooLarge, "whether the method ran, is not known"},
		{"resources before it was sent", of(codes.ResourceExhausted), false, rpc.Unreachable, ""},
		{"another service", of(codes.Unimplemented), true, rpc.NoSuchMethod, "does not speak oslorpc"},
		{"denied", of(codes.PermissionDenied), true, rpc.AccessDenied, ""},
		{"unauthenticated before it was sent", of(codes.Unauthenticated), false, rpc.AccessDenied, ""},
		{"unauthenticated", of(codes.Unauthenticated), true, rpc.AccessDenied, ""},
		{"internal", of(codes.Internal), true, rpc.OutcomeUnknown, "Internal"},
		{"internal before it was sent", of(codes.Internal), false, rpc.Invalid, ""},
		{"headers before they were sent", status.Error(codes.Internal, "header list size to send violates the text"), false, rpc.TooLarge, "less metadata"},
		{"aborted, by another program", of(codes.Aborted), true, rpc.OutcomeUnknown, "Aborted"},
		{"unknown", of(codes.Unknown), true, rpc.OutcomeUnknown, "Unknown"},
		{"a code of the future", of(codes.Code(99)), true, rpc.OutcomeUnknown, "99"},
		{"a wrapped status", fmt.Errorf("wrapped: %w", of(codes.DeadlineExceeded)), true, rpc.Timeout, after},
		{"no status", errors.New("the text"), true, rpc.OutcomeUnknown, ""},
		{"no status before it was sent", errors.New("the text"), false, rpc.Unreachable, ""},
		{"the context's deadline", fmt.Errorf("the text: %w", context.DeadlineExceeded), true, rpc.Timeout, after},
		{"the context's end", fmt.Errorf("the text: %w", context.Canceled), false, rpc.Canceled, before},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := Decode(test.err, test.sent)
			if got.Kind != test.want || got.NotStarted == test.sent {
				t.Errorf("got %s with NotStarted %v, want %s", got.Kind.Name(), got.NotStarted, test.want.Name())
			}
			gaveUp := got.Kind == rpc.Timeout || got.Kind == rpc.Canceled // gRPC's text adds nothing to these
			if !strings.Contains(got.Message, test.text) || !gaveUp && !strings.Contains(got.Message, "the text") {
				t.Errorf("the message is %q", got.Message)
			}
			if !errors.Is(got, test.err) {
				t.Error("the cause is lost")
			}
		})
	}
}

func withDetails(t *testing.T, code codes.Code, d *pb.ErrorDetail) error {
	t.Helper()
	st, err := status.New(code, "the text").WithDetails(durationpb.New(1), d) // others may add details of their own
	if err != nil {
		t.Fatal(err)
	}
	return arrived(t, st).Err()
}

func TestKindOfTheFuture(t *testing.T) {
	t.Parallel()
	for _, kind := range []pb.ErrorKind{0, 99, -1} {
		for _, notStarted := range []bool{false, true} {
			detail := &pb.ErrorDetail{Kind: kind, NotStarted: notStarted, Server: "net1", Method: "foo", Path: "/a"}
			got := Decode(withDetails(t, codes.Code(42), detail), true)
			want := rpc.OutcomeUnknown
			if notStarted {
				want = rpc.Refused // it goes elsewhere
			}
			if got.Kind != want || got.NotStarted != notStarted || got.Server != "net1" || got.Method != "foo" || got.Path != "/a" {
				t.Errorf("got %+v", got)
			}
			if !strings.Contains(got.Message, "the text") {
				t.Errorf("the message is %q", got.Message)
			}
		}
	}
}

// The detail decides and not the code, since a proxy may change the code. An unsent message cannot
// have been answered.
func TestDetailCounts(t *testing.T) {
	t.Parallel()
	for _, sent := range []bool{false, true} {
		detail := &pb.ErrorDetail{Kind: pb.ErrorKind_ERROR_KIND_REMOTE, Message: "m"}
		got := Decode(withDetails(t, codes.DeadlineExceeded, detail), sent)
		if got.Kind != rpc.Remote || got.NotStarted || got.Message != "m" || got.Cause != nil {
			t.Errorf("got %+v", got)
		}
	}
	wrapped := fmt.Errorf("receiving: %w", withDetails(t, codes.Unknown, &pb.ErrorDetail{Kind: pb.ErrorKind_ERROR_KIND_FULL, NotStarted: true}))
	if got := Decode(wrapped, true); !errors.Is(got, refusal.Full) || !got.NotStarted {
		t.Errorf("wrapped: got %+v", got)
	}
}

func TestRefusalIsAnError(t *testing.T) {
	t.Parallel()
	e := refusal.New(refusal.Full)
	if e.Kind != rpc.Refused || !rpc.SafeToRetry(e) || !rpc.IsNotDelivered(e) || !errors.Is(e, refusal.Full) || errors.Is(e, refusal.Stopping) {
		t.Errorf("got %+v", e)
	}
	if errors.Is(e, io.EOF) || !strings.Contains(e.Error(), "queue is full") {
		t.Errorf("got %v", e)
	}
}

// A bare UNIMPLEMENTED proves that nothing ran if, and only if, it answers an RPC of the protocol
// before anything else.
func TestAnotherProgramAnswers(t *testing.T) {
	t.Parallel()
	bare := status.Error(codes.Unimplemented, "unknown service oslorpc.v1.RPCService")
	got := Evidence{Sent: true, Contract: true}.Decode(bare)
	if !errors.Is(got, refusal.Foreign) || !refusal.Misled(got) || refusal.Gone(got) || got.Kind != rpc.Refused || !got.NotStarted || !strings.Contains(got.Message, "unknown service") {
		t.Errorf("got %+v", got)
	}
	for _, v := range []Evidence{{Sent: true}, {Sent: true, Contract: true, Headers: true}} {
		if got := v.Decode(bare); got.Kind != rpc.NoSuchMethod || got.NotStarted || refusal.Misled(got) {
			t.Errorf("%+v: got %+v", v, got)
		}
	}
	compressor := status.Error(codes.Unimplemented, `grpc: Decompressor is not installed for grpc-encoding "x"`)
	if got := (Evidence{Sent: true, Contract: true}).Decode(compressor); got.Kind != rpc.Invalid || !got.NotStarted || refusal.Misled(got) {
		t.Errorf("an unknown compressor: got %+v", got)
	}
	if refusal.Misled(refusal.New(refusal.Full)) || refusal.Misled(nil) || !refusal.Misled(fmt.Errorf("a: %w", refusal.New(refusal.Misdirected))) {
		t.Error("what misleads is mistaken")
	}
}

func TestServersNeverAnswerSo(t *testing.T) {
	t.Parallel()
	sealed := Seal(status.Error(codes.Unimplemented, "by an interceptor"))
	if got := (Evidence{Sent: true, Contract: true}).Decode(sealed); got.Kind != rpc.OutcomeUnknown || got.NotStarted {
		t.Errorf("got %+v", got)
	}
	for _, err := range []error{
		nil, io.EOF, status.Error(codes.Internal, "m"), withDetails(t, codes.Unimplemented, &pb.ErrorDetail{Kind: pb.ErrorKind_ERROR_KIND_NO_SUCH_METHOD}),
	} {
		if got := Seal(err); !errors.Is(got, err) || status.Code(got) != status.Code(err) {
			t.Errorf("%v became %v", err, got)
		}
	}
}

// If a peer contradicts itself, its claim that it did not start a method is ignored.
func TestContradictions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		kind    pb.ErrorKind
		replied bool
		want    rpc.Kind
	}{
		{"a method that failed", pb.ErrorKind_ERROR_KIND_REMOTE, false, rpc.Remote},
		{"a result that cannot be sent", pb.ErrorKind_ERROR_KIND_BAD_RESULT, false, rpc.BadResult},
		{"a message that came before", pb.ErrorKind_ERROR_KIND_OUTCOME_UNKNOWN, false, rpc.OutcomeUnknown},
		{"a refusal after a reply", pb.ErrorKind_ERROR_KIND_FULL, true, rpc.OutcomeUnknown},
		{"a version after a reply", pb.ErrorKind_ERROR_KIND_UNSUPPORTED_VERSION, true, rpc.OutcomeUnknown},
		{"a kind of the future after a reply", 99, true, rpc.OutcomeUnknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := withDetails(t, codes.Unknown, &pb.ErrorDetail{Kind: test.kind, NotStarted: true, Message: "m"})
			got := Evidence{Sent: true, Replied: test.replied}.Decode(err)
			if got.Kind != test.want || got.NotStarted || rpc.IsNotDelivered(got) || !strings.Contains(got.Message, "m") {
				t.Errorf("got %s with NotStarted %v: %v", got.Kind.Name(), got.NotStarted, got)
			}
		})
	}
	for _, code := range []codes.Code{codes.Unavailable, codes.PermissionDenied, codes.Internal, codes.Unimplemented} {
		if got := (Evidence{Contract: true, Replied: true}).Decode(status.Error(code, "the text")); got.NotStarted || rpc.IsNotDelivered(got) {
			t.Errorf("%v after a reply: got %+v", code, got)
		}
	}
	doubtful := Decode(withDetails(t, codes.Unavailable, &pb.ErrorDetail{Kind: pb.ErrorKind_ERROR_KIND_STOPPING, Server: "net1"}), true)
	if doubtful.Kind != rpc.OutcomeUnknown || doubtful.NotStarted || refusal.Gone(doubtful) || doubtful.Server != "net1" {
		t.Errorf("a refusal that does not say that nothing ran: got %+v", doubtful)
	}
}

// HTTP/2 can prove that a server did not look at a request. The text of gRPC counts only where no
// handler may have written it.
func TestProofsOfHTTP2(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"stream terminated by RST_STREAM with error code: REFUSED_STREAM", "the connection is draining"} {
		err := status.Error(codes.Unavailable, text)
		if got := (Evidence{Sent: true, Contract: true}).Decode(err); got.Kind != rpc.Refused || !got.NotStarted {
			t.Errorf("%s: got %+v", text, got)
		}
		if got := (Evidence{Sent: true, Unanswered: true}).Decode(err); got.Kind != rpc.Refused || !got.NotStarted {
			t.Errorf("%s, of a typed message without a status: got %+v", text, got)
		}
		for _, v := range []Evidence{{Sent: true}, {Sent: true, Contract: true, Headers: true}, {Sent: true, Contract: true, Replied: true}} {
			if got := v.Decode(err); got.Kind != rpc.OutcomeUnknown || got.NotStarted {
				t.Errorf("%s, %+v: got %+v", text, v, got)
			}
		}
	}
}

// A status with several details, or with an unreadable one, proves nothing, whatever its code.
func TestGarbledDetails(t *testing.T) {
	t.Parallel()
	full := &pb.ErrorDetail{Kind: pb.ErrorKind_ERROR_KIND_FULL, NotStarted: true}
	remote := &pb.ErrorDetail{Kind: pb.ErrorKind_ERROR_KIND_REMOTE}
	for _, code := range []codes.Code{codes.Unknown, codes.ResourceExhausted, codes.Unimplemented} {
		for name, details := range map[string][]protoadapt.MessageV1{
			"full, failed": {full, remote}, "failed, full": {remote, full}, "full twice": {full, full}, "unreadable": {full},
		} {
			st, err := status.New(code, "the text").WithDetails(details...)
			if err != nil {
				t.Fatal(err)
			}
			p := st.Proto()
			if len(details) == 1 {
				p.Details[0].Value = []byte{0xff}
			}
			got := Evidence{Sent: true, Contract: true}.Decode(status.FromProto(p).Err())
			if got.Kind != rpc.OutcomeUnknown || got.NotStarted || !strings.Contains(got.Message, "the text") {
				t.Errorf("%v, %s: got %+v", code, name, got)
			}
		}
	}
}

// A future server may refuse a message for reasons that are not known yet. Another server may
// accept the message.
func TestRefusalOfTheFuture(t *testing.T) {
	t.Parallel()
	for _, notStarted := range []bool{true, false} {
		got := Decode(withDetails(t, codes.Unavailable, &pb.ErrorDetail{Kind: 99, NotStarted: notStarted, Message: "m"}), true)
		want := rpc.OutcomeUnknown
		if notStarted {
			want = rpc.Refused
		}
		if got.Kind != want || got.NotStarted != notStarted || rpc.IsNotDelivered(got) != notStarted || refusal.Gone(got) || refusal.Misled(got) {
			t.Errorf("not started: %v: got %+v", notStarted, got)
		}
	}
}

// What a peer sends is truncated to the size that a server of oslorpc would send.
func TestTextsAreCutOnReceipt(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 4<<20)
	for name, err := range map[string]error{
		"text": status.Error(codes.Unavailable, long),
		"detail": withDetails(t, codes.Unknown, &pb.ErrorDetail{
			Kind: pb.ErrorKind_ERROR_KIND_REMOTE, Message: long, Server: long, InstanceId: long, Path: long, Method: long,
			Remote: &pb.RemoteError{Type: long, Message: long, Data: long, Stack: []string{long, long}, Hops: []string{long}},
		}),
		"kind of the future": withDetails(t, 42, &pb.ErrorDetail{Kind: 99, Message: long}),
	} {
		got := Decode(err, true)
		if n := len(fmt.Sprintf("%+v %v", *got, got.Cause)); n > 3*maxStatus {
			t.Errorf("%s: the error has %d bytes", name, n)
		}
	}
}
