package rpcstatus

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/oslorpc/oslorpc/internal/refusal"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// promised are the codes that errors.proto promises.
var promised = map[rpc.Kind]codes.Code{
	rpc.InvalidTarget:      codes.InvalidArgument,
	rpc.UnsupportedVersion: codes.FailedPrecondition,
	rpc.NoSuchMethod:       codes.Unimplemented,
	rpc.BadArguments:       codes.InvalidArgument,
	rpc.BadResult:          codes.Internal,
	rpc.TooLarge:           codes.ResourceExhausted,
	rpc.AccessDenied:       codes.PermissionDenied,
	rpc.Remote:             codes.Unknown,
	rpc.Timeout:            codes.DeadlineExceeded,
	rpc.OutcomeUnknown:     codes.Aborted,
	rpc.Canceled:           codes.Canceled,
}

func TestEveryKindArrivesAsItWas(t *testing.T) {
	t.Parallel()
	for kind, code := range promised {
		for _, notStarted := range []bool{false, true} {
			t.Run(fmt.Sprint(kind.Name(), notStarted), func(t *testing.T) {
				t.Parallel()
				sent := &rpc.Error{
					Kind: kind, Message: "what was wrong", Method: "foo", Path: "/a/0", Server: "net1", InstanceID: "b1.2",
					NotStarted: notStarted, Target: rpc.Target{Version: "1.2"},
				}
				st := Encode(fmt.Errorf("wrapped: %w", sent), nil)
				if st.Code() != code {
					t.Errorf("the code is %v, want %v", st.Code(), code)
				}
				if want := kind.String() + ": what was wrong"; st.Message() != want {
					t.Errorf("the text is %q, want %q", st.Message(), want)
				}
				want := *sent
				want.NotStarted = notStarted && canBeUnstarted(kind)
				want.Target = rpc.Target{} // the caller knows it
				for _, sent := range []bool{false, true} {
					if got := Decode(arrived(t, st).Err(), sent); *got != want {
						t.Errorf("got %+v, want %+v", *got, want)
					}
				}
			})
		}
	}
}

func TestRefusalArrivesWithItsReason(t *testing.T) {
	t.Parallel()
	for why, code := range map[refusal.Reason]codes.Code{
		refusal.Full: codes.ResourceExhausted, refusal.Stopping: codes.Unavailable, refusal.Misdirected: codes.Unavailable,
		refusal.Declined: codes.Unavailable,
	} {
		t.Run(why.Error(), func(t *testing.T) {
			t.Parallel()
			st := Encode(refusal.New(why), nil)
			if st.Code() != code {
				t.Errorf("the code is %v, want %v", st.Code(), code)
			}
			got := Decode(arrived(t, st).Err(), true)
			if *got != *refusal.New(why) || !errors.Is(got, why) {
				t.Errorf("got %+v, want %+v", got, refusal.New(why))
			}
			if gone := why != refusal.Full && why != refusal.Declined; refusal.Gone(got) != gone || refusal.Gone(fmt.Errorf("a: %w", got)) != gone {
				t.Errorf("the instance is gone: want %v", gone)
			}
			if *Decode(arrived(t, Encode(got, nil)).Err(), true) != *got {
				t.Error("it does not pass a second time")
			}
		})
	}
	for _, err := range []error{nil, io.EOF, &rpc.Error{Kind: rpc.Refused}, &rpc.Error{Kind: rpc.Unreachable}} {
		if refusal.Gone(err) {
			t.Errorf("%v says nothing about the instance", err)
		}
	}
}

func TestRemoteErrorArrivesWhole(t *testing.T) {
	t.Parallel()
	sent := &rpc.RemoteError{
		Type: "ValueError", Message: "no such port", Stack: []string{"line 1", "\tline 2", ""}, Hops: []string{"agent3", "net1"},
	}
	err := &rpc.Error{Kind: rpc.Remote, Message: sent.Error(), Cause: fmt.Errorf("wrapped: %w", sent)}
	st := Encode(err, nil)
	if st.Message() != "remote error: ValueError: no such port" {
		t.Errorf("the text is %q", st.Message())
	}
	var got *rpc.RemoteError
	if e := Decode(arrived(t, st).Err(), true); !errors.As(e, &got) {
		t.Fatalf("there is no remote error in %v", e)
	}
	if got.Type != sent.Type || got.Message != sent.Message || !slices.Equal(got.Stack, sent.Stack) || !slices.Equal(got.Hops, sent.Hops) {
		t.Errorf("got %+v, want %+v", got, sent)
	}
}

func TestImplementationsAreTold(t *testing.T) {
	t.Parallel()
	n := "n"
	seen := []*pb.Implementation{{Version: "1.2"}, {Namespace: &n, Version: "2.0"}}
	got := arrivedDetail(t, Encode(&rpc.Error{Kind: rpc.UnsupportedVersion}, seen)).GetImplemented()
	if len(got) != 2 || got[0].Namespace != nil || got[0].GetVersion() != "1.2" || got[1].GetNamespace() != "n" || got[1].GetVersion() != "2.0" {
		t.Errorf("got %v", got)
	}
}

func TestErrorWithoutMessageHasItsCause(t *testing.T) {
	t.Parallel()
	st := Encode(&rpc.Error{Kind: rpc.Timeout, Cause: io.EOF}, nil)
	if st.Message() != "timed out: EOF" || arrivedDetail(t, st).GetMessage() != "EOF" {
		t.Errorf("got %q and %q", st.Message(), arrivedDetail(t, st).GetMessage())
	}
	if text := Encode(&rpc.Error{Kind: rpc.Timeout}, nil).Message(); text != "timed out" {
		t.Errorf("got %q", text)
	}
}

// An error that no server should send says nothing about whether the method ran.
func TestOtherErrorsMakeNoClaim(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		io.EOF,
		&rpc.Error{Kind: rpc.Invalid, Message: "EOF", NotStarted: true},
		&rpc.Error{Kind: rpc.VersionCapExceeded, Message: "EOF", NotStarted: true},
		&rpc.Error{Kind: rpc.NoInstance, Message: "EOF", NotStarted: true},
		&rpc.Error{Kind: rpc.Refused, Message: "EOF", NotStarted: true},
		&rpc.Error{Kind: rpc.Refused, Message: "EOF", NotStarted: true, Cause: refusal.Reason("of a newer version")},
	} {
		st := arrived(t, Encode(err, nil))
		if st.Code() != codes.Internal || len(st.Details()) != 0 || !strings.Contains(st.Message(), "EOF") {
			t.Errorf("%v: got %v with %v", err, st, st.Details())
		}
		if got := Decode(st.Err(), true); got.Kind != rpc.OutcomeUnknown || got.NotStarted {
			t.Errorf("%v: decoded as %+v", err, got)
		}
	}
}

func TestEncodingChangesNothing(t *testing.T) {
	t.Parallel()
	long, n := strings.Repeat("x", 10_000), strings.Repeat("n", 10_000)
	remote := &rpc.RemoteError{Type: long, Message: long, Stack: []string{long, "\xff"}, Hops: []string{long}}
	e := &rpc.Error{Kind: rpc.Remote, Message: long, Cause: remote, Target: rpc.Target{Version: long}}
	seen := []*pb.Implementation{{Namespace: &n, Version: long}}
	checkSize(t, Encode(e, seen))
	if len(e.Message)+len(e.Target.Version)+len(remote.Type)+len(remote.Message)+len(remote.Stack[0])+len(remote.Hops[0]) != 6*len(long) {
		t.Errorf("the error was changed: %.100v", e)
	}
	if remote.Stack[1] != "\xff" || len(seen[0].GetNamespace()) != len(long) || len(seen[0].GetVersion()) != len(long) {
		t.Error("the lists were changed")
	}
}

// forms and promised are written by hand. No kind of the protocol may be missing.
func TestEveryKindOfTheContractIsKnown(t *testing.T) {
	t.Parallel()
	known := map[pb.ErrorKind]bool{}
	for _, f := range forms {
		known[f.wire] = true
		if promised[f.kind] != f.code {
			t.Errorf("%s has code %v, want %v", f.kind.Name(), f.code, promised[f.kind])
		}
	}
	for _, f := range refusals {
		known[f.wire] = true
	}
	for number, name := range pb.ErrorKind_name {
		if kind := pb.ErrorKind(number); kind != pb.ErrorKind_ERROR_KIND_UNSPECIFIED && !known[kind] {
			t.Errorf("%s is not known", name)
		}
	}
	if want := len(pb.ErrorKind_name) - 1; len(known) != want || len(forms)+len(refusals) != want {
		t.Errorf("%d kinds are known, want %d", len(known), want)
	}
}

func BenchmarkEncode(b *testing.B) {
	stack := slices.Repeat([]string{"github.com/oslorpc/oslorpc/internal/dispatch.protect.func1()"}, 100)
	for name, err := range map[string]error{
		"refusal": &rpc.Error{Kind: rpc.Refused, Message: refusal.Full.Error(), Cause: refusal.Full, NotStarted: true, Method: "foo", Server: "net1"},
		"panic":   &rpc.Error{Kind: rpc.Remote, Message: "panic: boom", Cause: &rpc.RemoteError{Type: "panic", Message: "boom", Stack: stack}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = Encode(err, nil)
			}
		})
	}
}
