package interception

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/anycarrier"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// arrived returns all parts of an error that a client receives, as text.
func arrived(t *testing.T, h heard) (st *status.Status, all string) {
	t.Helper()
	st, ok := status.FromError(h.err)
	if h.err == nil || !ok {
		t.Fatalf("got %v, want a status", h.err)
	}
	wire, err := proto.Marshal(st.Proto())
	if err != nil {
		t.Fatal(err)
	}
	return st, fmt.Sprintf("%q %v", wire, h.md)
}

// detailOf returns the error detail of our protocol in a status.
func detailOf(t *testing.T, st *status.Status) *pb.ErrorDetail {
	t.Helper()
	for _, d := range st.Details() {
		if detail, ok := d.(*pb.ErrorDetail); ok {
			return detail
		}
	}
	t.Fatalf("%v has no detail", st)
	return nil
}

// idIn returns the failure ID in a text.
func idIn(text string) string {
	_, id, _ := strings.Cut(text, "as failure ")
	id, _, _ = strings.Cut(id, `"`)
	return id
}

// failures returns the failures of methods that are hidden.
func failures() map[string]func() error {
	return map[string]func() error{
		"panic":               func() error { panic("password Hush") },
		"panic with an error": func() error { panic(&tellError{"Hush"}) },
		"error":               func() error { return errors.New("password Hush") },
		"own type":            func() error { return &hushError{"password"} },
		"wrapped":             func() error { return fmt.Errorf("node Hush: %w", &hushError{"password"}) },
		"unreadable":          func() error { return (*hushError)(nil) },
		"of ours":             func() error { return &rpc.Error{Kind: rpc.Unreachable, Message: "10.0.0.1:4000 Hush"} },
		"from another server": func() error {
			return &rpc.Error{Kind: rpc.Remote, Cause: &rpc.RemoteError{Type: "db.Hush", Message: "Hush", Hops: []string{"Hush"}, Stack: []string{"Hush"}, Data: `"Hush"`}}
		},
		"internal status": func() error { return status.Error(codes.Internal, "password Hush") },
		"ours, as a status": func() error {
			return fmt.Errorf("Hush: %w", &rpc.Error{Kind: rpc.AccessDenied, Message: "Hush"})
		},
	}
}

// No text of a hidden failure reaches a program that reads everything it receives, whatever the
// delivery. The log has the text under the ID in the error.
func TestHiddenFailures(t *testing.T) { anycarrier.Each(t, testHiddenFailures) }

func testHiddenFailures(t *testing.T) {
	t.Helper()
	for name, fail := range failures() {
		t.Run(name, func(t *testing.T) {
			conn, log := keep(t, fail, trust.Hidden{Failures: true})
			for _, d := range deliveries() {
				st, all := arrived(t, first(d.send(t.Context(), conn)))
				if strings.Contains(all, marker) || strings.Contains(all, "hidden_test") || strings.Contains(all, "goroutine") {
					t.Errorf("%s: the hidden text arrived: %s", d.name, all)
				}
				detail := detailOf(t, st)
				if r := detail.GetRemote(); detail.GetKind() != pb.ErrorKind_ERROR_KIND_REMOTE || r.GetType() != "error" || len(r.GetStack()) > 0 || r.GetData() != "" ||
					len(r.GetHops()) != 1 || !strings.HasPrefix(r.GetMessage(), "the method failed; the log of the server has the reason") {
					t.Errorf("%s: got %v", d.name, detail)
				}
				if id := idIn(detail.GetRemote().GetMessage()); len(id) != 12 || !strings.Contains(log.String(), "failure="+id) {
					t.Errorf("%s: the log lacks failure %q: %s", d.name, id, log)
				}
			}
		})
	}
}

// first combines its arguments into one value.
func first(md metadata.MD, err error) heard { return heard{md, err} }

// heard is what a client received.
type heard struct {
	md  metadata.MD
	err error
}

// Text that a program wrote for its callers still arrives, but the errors around it do not.
func TestToldFailures(t *testing.T) { anycarrier.Each(t, testToldFailures) }

func testToldFailures(t *testing.T) {
	t.Helper()
	for name, test := range map[string]struct {
		err        error
		typed      bool
		kind, text string
		data       string
	}{
		"registered": {err: fmt.Errorf("Hush: %w", &tellError{"v1"}), kind: "volumes.NotFound", text: "there is no volume v1", data: `{"volume":"v1"}`},
		"expected":   {err: fmt.Errorf("Hush: %w", errAnswer), kind: "error", text: "the volume is busy"},
		"a status":   {err: fmt.Errorf("Hush: %w", status.Error(codes.NotFound, "no such volume")), typed: true, kind: "error", text: "no such volume"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, _ := keep(t, func() error { return test.err }, trust.Hidden{Failures: true})
			for _, d := range deliveries() {
				typed := strings.HasPrefix(d.name, "typed")
				if name != "registered" && typed != test.typed {
					continue
				}
				st, all := arrived(t, first(d.send(t.Context(), conn)))
				r := detailOf(t, st).GetRemote()
				if r.GetType() != test.kind || !strings.HasSuffix(r.GetMessage(), test.text) || r.GetData() != test.data || strings.Contains(all, marker) {
					t.Errorf("%s: got %s", d.name, all)
				}
				if test.typed && (st.Code() != codes.NotFound || st.Message() != test.text) {
					t.Errorf("%s: got the status %v", d.name, st)
				}
			}
		})
	}
}

// Casts reveal nothing. Errors about things that do not exist or cannot be read reveal no names.
func TestHiddenNames(t *testing.T) {
	conn, log := keep(t, func() error { panic("Hush") }, trust.Hidden{Failures: true})
	for _, name := range []string{"who_hush", "none"} {
		_, err := pb.NewRPCServiceClient(conn).Cast(t.Context(), &pb.CastRequest{Message: raw(name, "{}")})
		if (name == "none") != (err != nil) {
			t.Errorf("a cast of %s: %v", name, err)
		}
	}
	inAnother := raw("x", "{}")
	inAnother.Target.Namespace = new("other")
	later := raw("x", "{}")
	later.Target.Version = new("9.0")
	for name, test := range map[string]struct {
		message *pb.Message
		kind    pb.ErrorKind
	}{
		"no method":    {raw("whohush", "{}"), pb.ErrorKind_ERROR_KIND_NO_SUCH_METHOD},
		"no namespace": {inAnother, pb.ErrorKind_ERROR_KIND_UNSUPPORTED_VERSION},
		"no version":   {later, pb.ErrorKind_ERROR_KIND_UNSUPPORTED_VERSION},
		"arguments":    {raw("read_hush", `{"level":1}`), pb.ErrorKind_ERROR_KIND_BAD_ARGUMENTS},
		"a result":     {raw("write_hush", `{}`), pb.ErrorKind_ERROR_KIND_BAD_RESULT},
	} {
		var md metadata.MD
		_, err := pb.NewRPCServiceClient(conn).Call(t.Context(), &pb.CallRequest{Message: test.message}, grpc.Trailer(&md))
		st, all := arrived(t, heard{md, err})
		detail := detailOf(t, st)
		all = strings.ReplaceAll(all, test.message.GetMethod(), "") // the client knows this name
		if detail.GetKind() != test.kind || strings.Contains(strings.ToLower(all), "hush") {
			t.Errorf("%s: got %s", name, all)
		}
		if name == "no version" && (len(detail.GetImplemented()) != 1 || detail.GetImplemented()[0].GetVersion() != "1.1") {
			t.Errorf("a client cannot learn the version of the namespace from %v", detail)
		}
		if id := idIn(detail.GetMessage()); name == "a result" && (id == "" || !strings.Contains(log.String(), "failure="+id)) {
			t.Errorf("the log lacks failure %q: %s", id, log)
		}
	}
}

// The text of an interceptor's error does not arrive, unless the error is meant for callers.
func TestHiddenRefusals(t *testing.T) { anycarrier.Each(t, testHiddenRefusals) }

func testHiddenRefusals(t *testing.T) {
	t.Helper()
	refusing := map[string]oslorpc.Interceptor{}
	fails := map[string]error{"plain": errors.New("ldap Hush"), "wrapped": fmt.Errorf("Hush: %w", &rpc.Error{Kind: rpc.AccessDenied, Message: "only admins"})}
	for name, err := range fails {
		refusing["accept "+name] = oslorpc.Interceptor{Accept: func(ctx context.Context, _ *rpc.Message) (context.Context, error) { return ctx, err }}
		refusing["run "+name] = oslorpc.Interceptor{Run: func(context.Context, *rpc.Message, rpc.Next) error { return err }}
	}
	meant := &rpc.Error{Kind: rpc.AccessDenied, Message: "only admins"}
	refusing["meant"] = oslorpc.Interceptor{Accept: func(ctx context.Context, _ *rpc.Message) (context.Context, error) { return ctx, meant }}
	for name, i := range refusing {
		t.Run(name, func(t *testing.T) {
			conn, log := keep(t, func() error { return nil }, trust.Hidden{Failures: true}, i)
			for _, d := range deliveries() {
				st, all := arrived(t, first(d.send(t.Context(), conn)))
				detail := detailOf(t, st)
				if detail.GetKind() != pb.ErrorKind_ERROR_KIND_ACCESS_DENIED || !detail.GetNotStarted() || strings.Contains(all, marker) {
					t.Errorf("%s: got %s", d.name, all)
				}
				if name == "meant" && detail.GetMessage() != meant.Message {
					t.Errorf("%s: got %s", d.name, all)
				}
				if id := idIn(detail.GetMessage()); name != "meant" && (len(id) != 12 || !strings.Contains(log.String(), "failure="+id)) {
					t.Errorf("%s: the log lacks failure %q: %s", d.name, id, log)
				}
			}
		})
	}
}

// If nothing is hidden, every text arrives. This proves that the tests above would notice a leak.
func TestShownFailures(t *testing.T) {
	conn, _ := keep(t, func() error { panic("password Hush") }, trust.Hidden{})
	for _, d := range deliveries() {
		st, all := arrived(t, first(d.send(t.Context(), conn)))
		if !strings.Contains(all, "password "+marker) || len(detailOf(t, st).GetRemote().GetStack()) == 0 {
			t.Errorf("%s: got %s", d.name, all)
		}
	}
}

// Introspection and reflection can be hidden separately. Pings and health checks still work.
func TestHiddenIntrospection(t *testing.T) {
	for _, hide := range []trust.Hidden{{}, {Introspection: true}, {Reflection: true}, {Introspection: true, Reflection: true}} {
		t.Run(fmt.Sprint(hide.Introspection, "-", hide.Reflection), func(t *testing.T) {
			conn, _ := keep(t, func() error { return nil }, hide)
			inspect := pb.NewIntrospectionServiceClient(conn)
			_, err := inspect.GetInfo(t.Context(), &pb.GetInfoRequest{Requests: true})
			if st := status.Convert(err); hide.Introspection != (st.Code() == codes.PermissionDenied) || hide.Introspection && !strings.Contains(st.Message(), "introspection is hidden") {
				t.Errorf("GetInfo: %v", err)
			}
			if _, err := inspect.Ping(t.Context(), &pb.PingRequest{}); err != nil {
				t.Errorf("Ping: %v", err)
			}
			if _, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
				t.Errorf("Check: %v", err)
			}
			stream, err := grpc_reflection_v1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
			if err == nil {
				_ = stream.Send(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}})
				_, err = stream.Recv()
			}
			if hide.Reflection != (status.Code(err) == codes.Unimplemented) || !hide.Reflection && err != nil {
				t.Errorf("reflection: %v", err)
			}
		})
	}
}
