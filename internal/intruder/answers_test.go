package intruder

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/internal/programtest"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// TestAnswers has an attacker that is a legitimate server and answers with lies.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, a := range []attack{
		{name: "errors in the name of others", wants: "make clients blame, leave or avoid payment servers", do: errorsInTheNameOfOthers},
		{name: "endless refusals", wants: "make clients send again without end", do: endlessRefusals},
		{name: "text for terminals", wants: "run commands in the operator's terminal", do: textForTerminals, may: []string{"quote"}},
	} {
		t.Run(a.name, a.play)
	}
}

// liar is a server that answers each message with an error.
type liar struct {
	pb.UnimplementedRPCServiceServer

	mu      sync.Mutex
	answers map[string]error // by method
	got     map[string]int
}

func (l *liar) lie(m *pb.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.got[m.GetMethod()]++
	return l.answers[m.GetMethod()]
}

func (l *liar) Call(_ context.Context, r *pb.CallRequest) (*pb.CallResponse, error) {
	return nil, l.lie(r.GetMessage())
}

func (l *liar) Cast(_ context.Context, r *pb.CastRequest) (*pb.CastResponse, error) {
	return nil, l.lie(r.GetMessage())
}

func (l *liar) Multicall(r *pb.MulticallRequest, _ grpc.ServerStreamingServer[pb.MulticallResponse]) error {
	return l.lie(r.GetMessage())
}

// says sets the answer to messages for some methods.
func (l *liar) says(t *testing.T, d *pb.ErrorDetail, methods ...string) {
	t.Helper()
	s, err := status.New(codes.Unavailable, d.GetMessage()).WithDetails(d)
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, method := range methods {
		l.answers[method] = s.Err()
	}
}

// lies starts a liar with the attacker's certificate and registers it under its true name,
// printer-17.
func (f *fleet) lies(t *testing.T) *liar {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &liar{answers: map[string]error{}, got: map[string]int{}}
	config := tlsOf(t, f.stolen)
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)))
	pb.RegisterRPCServiceServer(server, l)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	f.pose(t, "printers", "printer-17", listener.Addr().String())
	return l
}

// kinds returns all kinds of errors that a server can claim, and one that no client knows.
func kinds() (list []pb.ErrorKind) {
	for kind := range pb.ErrorKind_name {
		list = append(list, pb.ErrorKind(kind))
	}
	return append(list, 99)
}

// errorsInTheNameOfOthers checks that an error names the server that answered, whatever the error
// says.
func errorsInTheNameOfOthers(t *testing.T, f *fleet) int {
	l := f.lies(t)
	victim := f.instance("payments-1")
	printers := f.clerks.Client(oslorpc.Target{Topic: "printers"}, oslorpc.WithTimeout(patience), oslorpc.WithRetry(0))
	auto := f.clerk.Prepare(oslorpc.WithVersionCap("auto"), oslorpc.WithVersion("1.1"))
	for _, kind := range kinds() {
		for _, notStarted := range []bool{false, true} {
			l.says(t, &pb.ErrorDetail{
				Kind: kind, NotStarted: notStarted, Message: "no", Method: "transfer", Server: victim.Server, InstanceId: victim.ID,
				Implemented: []*pb.Implementation{{Version: "1.0"}, {Version: "9.0"}},
			}, "transfer", "rates")
			for _, name := range []string{"call", "cast", "multicall"} {
				err := deliveries[name](t.Context(), printers)
				e, ok := errors.AsType[*rpc.Error](err)
				if !ok || e.Server == victim.Server || e.InstanceID == victim.ID || strings.Contains(err.Error(), victim.Server) {
					t.Errorf("%s that claims %v: the error names another server: %v", name, kind, err)
				}
			}
			if _, err := oslorpc.Call[string](t.Context(), auto, "transfer", nil); err != nil {
				t.Fatalf("after %v the clerk is not served: %v", kind, err)
			}
		}
	}
	f.checkServes(t)
	if list := f.list(t, "payments"); len(list) != 2 {
		t.Errorf("the clerk knows of %v", list)
	}
	return 0
}

// endlessRefusals checks that a client that is told to try again does so only until its deadline,
// and not often.
func endlessRefusals(t *testing.T, f *fleet) int {
	l := f.lies(t)
	printers := f.clerks.Client(oslorpc.Target{Topic: "printers"}, oslorpc.WithTimeout(2*time.Second))
	var all sync.WaitGroup
	for _, kind := range kinds() {
		l.says(t, &pb.ErrorDetail{Kind: kind, NotStarted: true, Message: "not started"}, kind.String())
		all.Go(func() { wantRefused(t, kind.String(), printers.Cast(t.Context(), kind.String(), nil)) })
	}
	all.Wait()
	for method, n := range l.got {
		if n > 40 {
			t.Errorf("%s: the message was sent %d times", method, n)
		}
	}
	return 0
}

// poison is text with control characters that a terminal would interpret.
const poison = "poison\x1b[31m\x7f\u009b2J\u202e\r\nFORGED line $(reboot)"

func textForTerminals(t *testing.T, f *fleet) int {
	l := f.lies(t)
	l.says(t, &pb.ErrorDetail{
		Kind: pb.ErrorKind_ERROR_KIND_REMOTE, Message: poison, Method: poison, Path: poison, Server: poison, InstanceId: poison,
		Remote: &pb.RemoteError{Type: poison, Message: poison, Data: poison, Stack: []string{poison}, Hops: []string{poison}},
	}, "transfer")
	m := message("quote" + strings.Repeat("x", 10))
	m.Id, m.OrderKey = poison, "k"
	conn := f.dial(t, "payments-1", grpc.WithUserAgent("\u009b\u202eclerk"))
	wantDenied(t, "a call", forms["Call"](soon(t), conn, m))
	m = message("quote")
	_ = forms["Call"](soon(t), conn, m)
	operator := f.certificate(t, clerk)
	for _, line := range []string{
		"call printers transfer", "cast printers transfer", "multicall printers transfer", "fanout printers transfer", "info printers", "ping printers",
		"ls", "info payments", "deprecations payments --all", "upgrade check payments --to 1.1",
	} {
		for _, form := range []string{"text", "json"} {
			_, out := execute(t, programtest.Path("oslorpc"), f.line(line+" --timeout 3s --output "+form, operator)...)
			for text := range strings.Lines(out) {
				if text = strings.TrimSuffix(text, "\n"); strings.ContainsFunc(text, rpc.IsControl) || strings.HasPrefix(text, "FORGED") {
					t.Errorf("%s as %s prints %q", line, form, text)
				}
			}
		}
	}
	return 1
}
