package badpeer

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// statuses are the bad peers that answer without a reply and without an error detail of the
// protocol.
func statuses() []kind {
	only := func(fields ...string) behavior {
		return behavior{asked: func(c *conn, s *stream) { c.headers(s, true, fields...) }}
	}
	coded := func(code string, more ...string) behavior {
		return behavior{asked: func(c *conn, s *stream) { c.only(s, code, more...) }}
	}
	page := func(code string) behavior {
		return behavior{asked: func(c *conn, s *stream) {
			c.headers(s, false, ":status", code, "content-type", "text/html")
			c.data(s, true, []byte("<html>"+strings.Repeat("no ", 1<<10)))
		}}
	}
	return []kind{
		{name: "has no status", outcome: unknown, behavior: only(":status", "200", "content-type", "application/grpc")},
		{name: "has a status that is not a number", outcome: unknown, behavior: coded("fine")},
		{name: "has an unknown status", outcome: unknown, behavior: coded("99")},
		{name: "has a negative status", outcome: unknown, behavior: coded("-1")},
		{name: "has no content type", outcome: unknown, behavior: only(":status", "200", "grpc-status", "0")},
		{name: "has two statuses", outcome: unknown, unlike: map[string]outcome{multicall: fine, typedStream: fine}, behavior: coded("14", "grpc-status", "0")},
		{name: "succeeds, and has no reply", outcome: unknown, unlike: map[string]outcome{multicall: fine, typedStream: fine}, behavior: coded("0")},
		{name: "knows no such service", outcome: refused, proves: true, unlike: typedOnes(unsafely(oslorpc.NoSuchMethod)), behavior: coded("12", "grpc-message", "unknown service")},
		// If gRPC on the client produced this text, it would be a proof. In a status it proves
		// nothing, since a method may have passed it on.
		{name: "says that it is draining", outcome: refused, proves: true, unlike: typedOnes(unknown), behavior: coded("14", "grpc-message", "the connection is draining")},
		{name: "is a web server without the page", outcome: refused, proves: true, unlike: typedOnes(unsafely(oslorpc.NoSuchMethod)), behavior: page("404")},
		{name: "is a web server with a page", outcome: unknown, behavior: page("200")},
		{name: "is a web server that fails", outcome: unknown, behavior: page("500")},
		{name: "is a proxy without a server", outcome: unknown, behavior: page("502")},
		{name: "is a proxy that is busy", outcome: unknown, behavior: page("503")},
		{name: "wants a login", outcome: unsafely(oslorpc.AccessDenied), behavior: page("401")},
		{name: "moved", outcome: unknown, behavior: page("302")},
		{name: "is unavailable", outcome: unknown, behavior: coded("14", "grpc-message", "try again")},
		{name: "is exhausted", outcome: unknown, behavior: coded("8", "grpc-message", "quota")},
		{name: "cancels with a status", outcome: unknown, behavior: coded("1")},
		{name: "is late with a status", outcome: late.or(oslorpc.OutcomeUnknown), behavior: coded("4")},
		{name: "denies access with a status", outcome: unsafely(oslorpc.AccessDenied), behavior: coded("7", "grpc-message", "no")},
		{name: "talks too much", greedy: true, outcome: unknown, behavior: coded("13", "grpc-message", strings.Repeat("X", 4<<20))},
		{name: "talks in control characters", outcome: unknown, behavior: coded("13", "grpc-message", strings.Repeat("%0a%1b[31m%00", 1000))},
		{name: "has trailers without end", greedy: true, outcome: unknown, behavior: after(headersWithoutEnd)},
	}
}

// detailed returns a status with details.
func detailed(code string, details ...proto.Message) []string {
	st := status.New(codes.Unknown, "made up")
	for _, d := range details {
		var err error
		if st, err = st.WithDetails(protoadapt.MessageV1Of(d)); err != nil {
			panic(err)
		}
	}
	p := st.Proto()
	n, err := strconv.ParseInt(code, 10, 32)
	if err != nil {
		panic(err)
	}
	p.Code = int32(n)
	b, err := proto.Marshal(p)
	if err != nil {
		panic(err)
	}
	return []string{"grpc-status-details-bin", base64.RawStdEncoding.EncodeToString(b)}
}

// details are the bad peers whose error details contradict themselves or the peer's behavior.
func details() []kind {
	says := func(code string, k pb.ErrorKind, notStarted bool) behavior {
		more := detailed(code, &pb.ErrorDetail{Kind: k, NotStarted: notStarted, Message: "made up"})
		return behavior{asked: func(c *conn, s *stream) { c.only(s, code, more...) }}
	}
	replies := func(code string, k pb.ErrorKind, notStarted bool) behavior {
		more := detailed(code, &pb.ErrorDetail{Kind: k, NotStarted: notStarted, Message: "made up"})
		return after(func(c *conn, s *stream) {
			c.data(s, false, reply(s))
			c.end(s, code, more...)
		})
	}
	with := func(code string, more []string) behavior {
		return behavior{asked: func(c *conn, s *stream) { c.only(s, code, more...) }}
	}
	full := &pb.ErrorDetail{Kind: pb.ErrorKind_ERROR_KIND_FULL, NotStarted: true}
	remote := &pb.ErrorDetail{Kind: pb.ErrorKind_ERROR_KIND_REMOTE, Remote: &pb.RemoteError{Type: "X", Message: "y"}}
	long := strings.Repeat("x", 1<<20)
	hadIt := map[string]outcome{monitored: fine}
	return []kind{
		{name: "is full", outcome: refused, proves: true, behavior: says("8", pb.ErrorKind_ERROR_KIND_FULL, true)},
		{name: "is full, and does not say that it did not start it", outcome: unknown, behavior: says("8", pb.ErrorKind_ERROR_KIND_FULL, false)},
		{name: "is full after the reply", outcome: unknown, unlike: hadIt, behavior: replies("8", pb.ErrorKind_ERROR_KIND_FULL, true)},
		{name: "is full after headers", outcome: refused, proves: true, headed: true, behavior: after(func(c *conn, s *stream) { c.end(s, "8", detailed("8", full)...) })},
		{name: "says without end that it is stopping", outcome: refused.or(oslorpc.NoInstance), proves: true, behavior: says("14", pb.ErrorKind_ERROR_KIND_STOPPING, true)},
		{name: "stops after the reply", outcome: unknown, unlike: hadIt, behavior: replies("14", pb.ErrorKind_ERROR_KIND_STOPPING, true)},
		{name: "says without end that it is another process", outcome: refused.or(oslorpc.NoInstance), proves: true, behavior: says("14", pb.ErrorKind_ERROR_KIND_MISDIRECTED, true)},
		{name: "lacks the version", outcome: safely(oslorpc.UnsupportedVersion), proves: true, behavior: says("9", pb.ErrorKind_ERROR_KIND_UNSUPPORTED_VERSION, true)},
		{name: "lacks the method, and may have started it", outcome: unsafely(oslorpc.NoSuchMethod), behavior: says("12", pb.ErrorKind_ERROR_KIND_NO_SUCH_METHOD, false)},
		{name: "lacks the method after the reply", outcome: unknown, unlike: hadIt, behavior: replies("12", pb.ErrorKind_ERROR_KIND_NO_SUCH_METHOD, true)},
		{name: "fails, unstarted", outcome: ran(oslorpc.Remote), behavior: says("2", pb.ErrorKind_ERROR_KIND_REMOTE, true)},
		{name: "has a bad result, unstarted", outcome: ran(oslorpc.BadResult), behavior: says("13", pb.ErrorKind_ERROR_KIND_BAD_RESULT, true)},
		{name: "does not know the outcome, unstarted", outcome: unknown, behavior: says("10", pb.ErrorKind_ERROR_KIND_OUTCOME_UNKNOWN, true)},
		{name: "cancels, unstarted", outcome: refused, proves: true, behavior: says("1", pb.ErrorKind_ERROR_KIND_CANCELED, true)},
		{name: "cancels with a detail", outcome: unknown, behavior: says("1", pb.ErrorKind_ERROR_KIND_CANCELED, false)},
		{name: "is late, unstarted", outcome: refused, proves: true, behavior: says("4", pb.ErrorKind_ERROR_KIND_TIMEOUT, true)},
		{name: "refuses for a future reason", outcome: refused, proves: true, behavior: says("14", 99, true)},
		{name: "fails for a future reason", outcome: unknown, behavior: says("14", 99, false)},
		{name: "refuses for no reason", outcome: refused, proves: true, behavior: says("14", 0, true)},
		{name: "fails with the status of success", outcome: unknown, unlike: map[string]outcome{multicall: fine, typedStream: fine}, behavior: says("0", pb.ErrorKind_ERROR_KIND_FULL, true)},
		{name: "is full by its detail and succeeds by its code", outcome: unknown, behavior: with("13", detailed("0", full))},
		{name: "is full by its detail and failed by its code", outcome: unknown, behavior: with("13", detailed("8", full))},
		{name: "is full and failed", outcome: unknown, behavior: with("8", detailed("8", full, remote))},
		{name: "failed and is full", outcome: unknown, behavior: with("8", detailed("8", remote, full))},
		{name: "has a detail of another type", outcome: unknown, behavior: with("8", detailed("8", &emptypb.Empty{}))},
		{name: "has a detail that does not decode", outcome: unknown, behavior: with("8", []string{"grpc-status-details-bin", "/////w"})},
		{name: "has a detail that is not base64", outcome: unknown, behavior: with("8", []string{"grpc-status-details-bin", "?!"})},
		{name: "has a detail of 1 MiB", greedy: true, outcome: safely(oslorpc.BadArguments), proves: true, final: true, behavior: with("3", detailed("3", &pb.ErrorDetail{
			Kind: pb.ErrorKind_ERROR_KIND_BAD_ARGUMENTS, NotStarted: true, Message: long, Server: long[:1<<16], Method: long[:1<<16],
		}))},
		{name: "has a thousand details", outcome: unknown, behavior: with("8", detailed("8", thousand(full)...))},
		{name: "has a stack of 1 MiB", greedy: true, outcome: ran(oslorpc.Remote), behavior: with("2", detailed("2", &pb.ErrorDetail{
			Kind: pb.ErrorKind_ERROR_KIND_REMOTE, Remote: &pb.RemoteError{Type: long[:1<<18], Message: long[:1<<18], Stack: strings.Split(long[:1<<18], "xx"), Data: long[:1<<18]},
		}))},
		{name: "speaks for another server", outcome: refused, proves: true, behavior: with("8", detailed("8", &pb.ErrorDetail{
			Kind: pb.ErrorKind_ERROR_KIND_FULL, NotStarted: true, Server: "evil\n\x1b[31m", InstanceId: "no such", Message: "line\nline\x1b[31m",
		}))},
	}
}

func thousand(m proto.Message) []proto.Message {
	all := make([]proto.Message, 1000)
	for i := range all {
		all[i] = m
	}
	return all
}

// notANumber returns a result in the other encoding, with a number that JSON does not have.
func notANumber() *pb.Payload {
	nan := 0.0
	return &pb.Payload{Encoding: &pb.Payload_Value{Value: structpb.NewNumberValue(nan / nan)}}
}

// streams are the bad peers whose streams are wrong.
func streams() []kind {
	full := &pb.ErrorDetail{Kind: pb.ErrorKind_ERROR_KIND_FULL, NotStarted: true}
	heartbeat := &pb.MonitoredCallResponse{Kind: &pb.MonitoredCallResponse_Heartbeat{Heartbeat: &pb.Heartbeat{}}}
	return []kind{
		{name: "sends replies without end", outcome: unknown, unlike: map[string]outcome{monitored: fine, multicall: late, typedStream: late}, behavior: after(func(c *conn, s *stream) {
			b := reply(s)
			forever(func() bool { return c.pause(time.Millisecond) && c.data(s, false, b) })
		})},
		{name: "sends empty messages without end", outcome: unknown, unlike: map[string]outcome{monitored: late, multicall: late, typedStream: late}, behavior: after(func(c *conn, s *stream) {
			forever(func() bool { return c.pause(time.Millisecond) && c.data(s, false, make([]byte, 5<<5)) })
		})},
		{name: "sends heartbeats without end", outcome: unknown, unlike: map[string]outcome{monitored: late, multicall: late, typedStream: late}, behavior: after(func(c *conn, s *stream) {
			forever(func() bool { return c.pause(time.Millisecond) && c.message(s, heartbeat) })
		})},
		{name: "beats twice a second without end", outcome: unknown.or(oslorpc.Timeout), behavior: after(func(c *conn, s *stream) {
			forever(func() bool { return c.message(s, heartbeat) && c.pause(holdTime/50) })
		})},
		{name: "is full after ten replies", outcome: unknown, unlike: map[string]outcome{monitored: fine}, behavior: after(func(c *conn, s *stream) {
			for range 10 {
				c.data(s, false, reply(s))
			}
			c.end(s, "8", detailed("8", full)...)
		})},
		{name: "hangs after ten replies", outcome: unknown, unlike: map[string]outcome{monitored: fine, multicall: late, typedStream: late}, behavior: after(func(c *conn, s *stream) {
			for range 10 {
				c.data(s, false, reply(s))
			}
		})},
	}
}
