package middleware_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/oslorpc/oslorpc/pkg/middleware"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

type key string

// accept passes a message through an adapted interceptor before the message is accepted.
func accept(ctx context.Context, m *rpc.Message, i grpc.UnaryServerInterceptor) (context.Context, error) {
	return middleware.UnaryAccept(i).Accept(ctx, m)
}

// call returns a dynamic call.
func call() *rpc.Message {
	return &rpc.Message{
		Target: rpc.Target{Exchange: "openstack", Topic: "agents", Server: "node1", Version: "1.2"}, Method: "add",
		Delivery: rpc.DeliveryCall, ID: "m1", Peer: rpc.Peer{Addr: "10.0.0.7:51413"}, Arguments: `{"a":1}`,
		Metadata: rpc.Metadata{"authorization": {"bearer x"}},
	}
}

// passes calls the handler.
func passes(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	return handler(ctx, request)
}

// fails returns an interceptor that returns err and does not call the handler.
func fails(err error) grpc.UnaryServerInterceptor {
	return func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) { return nil, err }
}

// Interceptors of gRPC see the name of the sender's program as the user agent. The name is not in
// the metadata of the message.
func TestUserAgentIsTheCaller(t *testing.T) {
	t.Parallel()
	m := call()
	m.Caller = "neutron-agent@node1"
	var agents, tokens []string
	see := func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		agents = append(agents, metadata.ValueFromIncomingContext(ctx, "user-agent")...)
		tokens = append(tokens, metadata.ValueFromIncomingContext(ctx, "authorization")...)
		return handler(ctx, request)
	}
	if _, err := accept(t.Context(), m, see); err != nil {
		t.Error(err)
	}
	if err := middleware.UnaryRun(see).Run(t.Context(), m, func(context.Context) error { return nil }); err != nil {
		t.Error(err)
	}
	if !slices.Equal(agents, []string{m.Caller, m.Caller}) || !slices.Equal(tokens, []string{"bearer x", "bearer x"}) {
		t.Errorf("the interceptor sees the user agents %q and the tokens %q", agents, tokens)
	}
	if m.Metadata.Get("user-agent") != "" {
		t.Error("the message has other metadata than before")
	}
}

// An interceptor sees the same message at both points.
func TestWhatAnInterceptorSees(t *testing.T) {
	t.Parallel()
	typed := call()
	typed.Service, typed.Method, typed.Arguments = "volumes.v1.Volumes", "Get", wrapperspb.String("v1")
	stream := call()
	stream.Service, stream.Method, stream.Arguments, stream.Delivery = "volumes.v1.Volumes", "Watch", nil, rpc.DeliveryStream
	inspect := call()
	inspect.Target, inspect.Method, inspect.Arguments, inspect.Delivery = rpc.Target{}, "Ping", nil, rpc.DeliveryInspect
	namespace := call()
	namespace.Target.Namespace = "control"
	odd := call()
	odd.Target.Topic, odd.Target.Namespace, odd.Method = "a/b", "100%", "c/d"
	const dynamic = `{"target":{"exchange":"openstack","topic":"agents","version":"1.2","server":"node1"},` +
		`"method":"add","kwargs":{"json":"{\"a\":1}"},"id":"m1"}`
	for _, test := range []struct {
		message      *rpc.Message
		path, wanted string
	}{
		{call(), "/agents/add", dynamic},
		{namespace, "/agents.control/add", strings.Replace(dynamic, `"version"`, `"namespace":"control","version"`, 1)},
		{odd, "/a%2Fb.100%25/c%2Fd", ""},
		{typed, "/volumes.v1.Volumes/Get", `"v1"`},
		{stream, "/volumes.v1.Volumes/Watch", `{}`},
		{inspect, "/oslorpc.v1.IntrospectionService/Ping", `{}`},
	} {
		seen := 0
		look := func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			seen++
			method, _ := grpc.Method(ctx)
			if info.FullMethod != test.path || method != test.path || info.Server != nil {
				t.Errorf("got %q, %q, %v; want %q", info.FullMethod, method, info.Server, test.path)
			}
			if got := compact(t, request); test.wanted != "" && got != test.wanted {
				t.Errorf("%s: got %s, want %s", test.path, got, test.wanted)
			}
			p, _ := peer.FromContext(ctx)
			if got := metadata.ValueFromIncomingContext(ctx, "Authorization"); !slices.Equal(got, []string{"bearer x"}) || p.Addr.String() != "10.0.0.7:51413" {
				t.Errorf("%s: metadata %v, peer %v", test.path, got, p)
			}
			response, err := handler(ctx, request)
			if _, ok := response.(*emptypb.Empty); !ok {
				t.Errorf("the response is a %T", response)
			}
			return response, err
		}
		if _, err := accept(t.Context(), test.message, look); err != nil {
			t.Error(err)
		}
		err := middleware.UnaryRun(look).Run(t.Context(), test.message, func(context.Context) error { return nil })
		if err != nil || seen != 2 {
			t.Errorf("%s: got %v, seen %d times", test.path, err, seen)
		}
	}
}

// compact returns a message as JSON without spaces.
func compact(t *testing.T, m any) string {
	t.Helper()
	text, err := protojson.Marshal(m.(proto.Message)) //nolint:forcetypeassert // It always is one.
	if err != nil {
		t.Error(err)
	}
	return strings.ReplaceAll(string(text), ", ", ",")
}

func TestPeer(t *testing.T) {
	t.Parallel()
	id := &url.URL{Scheme: "spiffe", Host: "cloud", Path: "/nova"}
	certificate := &x509.Certificate{URIs: []*url.URL{id}}
	for _, test := range []struct {
		peer          rpc.Peer
		network, name string
		spiffe        *url.URL
	}{
		{rpc.Peer{Addr: "[::1]:80"}, "tcp", "", nil},
		{rpc.Peer{Addr: "/run/x.sock"}, "unix", "", nil},
		{rpc.Peer{Addr: "10.0.0.7:1", TLS: &tls.ConnectionState{ServerName: "s"}}, "tcp", "s", nil},
		{rpc.Peer{Addr: "10.0.0.7:1", TLS: &tls.ConnectionState{
			ServerName: "s", PeerCertificates: []*x509.Certificate{certificate},
		}}, "tcp", "s", id},
	} {
		m := call()
		m.Peer = test.peer
		ctx, err := accept(t.Context(), m, passes)
		if err != nil {
			t.Fatal(err)
		}
		p, _ := peer.FromContext(ctx)
		secure, hasTLS := p.AuthInfo.(credentials.TLSInfo)
		if p.Addr.String() != test.peer.Addr || p.Addr.Network() != test.network || hasTLS != (test.peer.TLS != nil) {
			t.Errorf("got %v", p)
		}
		if secure.State.ServerName != test.name || secure.SPIFFEID != test.spiffe {
			t.Errorf("got %+v", secure)
		}
	}
}

// The peer of a gRPC connection stays in the context, since it tells more than a message.
func TestPeerOfTheConnectionStays(t *testing.T) {
	t.Parallel()
	there := &peer.Peer{Addr: &net.UnixAddr{Name: "there", Net: "unix"}}
	ctx, err := accept(peer.NewContext(t.Context(), there), call(), passes)
	if p, _ := peer.FromContext(ctx); err != nil || p != there {
		t.Errorf("got %v, %v", p, err)
	}
}

// The metadata is the message's own, whatever the metadata of its RPC: a session carries many
// messages in one RPC.
func TestMetadataIsOfTheMessage(t *testing.T) {
	t.Parallel()
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "of the session", "other", "1"))
	ctx, err := accept(ctx, call(), passes)
	md, _ := metadata.FromIncomingContext(ctx)
	if want := (metadata.MD{"authorization": {"bearer x"}}); err != nil || !maps.EqualFunc(md, want, slices.Equal) {
		t.Errorf("got %v, %v", md, err)
	}
}

func TestValuesOfAcceptReachRun(t *testing.T) {
	t.Parallel()
	ctx, err := accept(t.Context(), call(), func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		ctx, cancel := context.WithTimeout(context.WithValue(ctx, key("user"), "ann"), time.Hour)
		defer cancel()
		return handler(metadata.NewIncomingContext(ctx, metadata.Pairs("changed", "1")), request)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, has := ctx.Deadline(); has || ctx.Err() != nil {
		t.Errorf("the context has ended with its interceptor: %v", ctx.Err())
	}
	err = middleware.UnaryRun(passes).Run(ctx, call(), func(ctx context.Context) error {
		if got := metadata.ValueFromIncomingContext(ctx, "changed"); ctx.Value(key("user")) != "ann" || len(got) != 1 {
			t.Errorf("got %v, %v", ctx.Value(key("user")), got)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	ours := &rpc.Error{Kind: rpc.TooLarge, Message: "at most 10"}
	for _, test := range []struct {
		err     error
		kind    rpc.Kind
		message string
	}{
		{status.Error(codes.PermissionDenied, "no"), rpc.AccessDenied, "no"},
		{status.Error(codes.Unauthenticated, "no"), rpc.AccessDenied, "no"},
		{status.Error(codes.ResourceExhausted, "slow down"), rpc.Refused, "slow down"},
		{status.Error(codes.Unavailable, "later"), rpc.Refused, "later"},
		{status.Error(codes.InvalidArgument, "what?"), rpc.BadArguments, "what?"},
		{status.Error(codes.DeadlineExceeded, "late"), rpc.Timeout, "late"},
		{status.Error(codes.NotFound, "gone"), rpc.AccessDenied, "NotFound: gone"},
		{fmt.Errorf("wrapped: %w", status.Error(codes.Unavailable, "later")), rpc.Refused, "wrapped: rpc error: code = Unavailable desc = later"},
		{errors.New("broken"), rpc.AccessDenied, "broken"},
		{context.DeadlineExceeded, rpc.Timeout, "context deadline exceeded"},
		{ours, rpc.TooLarge, "at most 10"},
		{fmt.Errorf("wrapped: %w", ours), rpc.TooLarge, "at most 10"},
	} {
		ctx, before := accept(t.Context(), call(), fails(test.err))
		around := middleware.UnaryRun(fails(test.err)).Run(t.Context(), call(), func(context.Context) error {
			t.Error("the method ran")
			return nil
		})
		for _, err := range []error{before, around} {
			e, ok := errors.AsType[*rpc.Error](err)
			if !ok || e.Kind != test.kind || e.Message != test.message || !e.NotStarted || ctx != nil {
				t.Errorf("%v: got %#v", test.err, err)
			}
		}
	}
	if ours.NotStarted {
		t.Error("the interceptor's error was changed")
	}
}

func TestOnlyTheMethodAnswers(t *testing.T) {
	t.Parallel()
	_, before := accept(t.Context(), call(), fails(nil))
	around := middleware.UnaryRun(fails(nil)).Run(t.Context(), call(), nil)
	for _, err := range []error{before, around} {
		if !errors.Is(err, rpc.AccessDenied) || !rpc.SafeToRetry(err) {
			t.Errorf("got %v", err)
		}
	}
}

// If an interceptor refuses a message after it called its handler, the message is refused. The
// method has not run at that point.
func TestRefusalAfterTheHandler(t *testing.T) {
	t.Parallel()
	_, err := accept(t.Context(), call(), func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		_, _ = handler(ctx, request)
		return nil, status.Error(codes.PermissionDenied, "no")
	})
	if !errors.Is(err, rpc.AccessDenied) {
		t.Errorf("got %v", err)
	}
}

func TestErrorsOfTheMethod(t *testing.T) {
	t.Parallel()
	remote := &rpc.Error{Kind: rpc.Remote, Cause: &rpc.RemoteError{Type: "ValueError", Message: "bad"}}
	for _, test := range []struct {
		err  error
		code codes.Code
	}{
		{remote, codes.Unknown},
		{&rpc.Error{Kind: rpc.Timeout}, codes.DeadlineExceeded},
		{status.Error(codes.NotFound, "gone"), codes.NotFound},
		{errors.New("broken"), codes.Unknown},
	} {
		look := func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			response, err := handler(ctx, request)
			if status.Code(err) != test.code || rpc.KindOf(err) != rpc.KindOf(test.err) || response != nil {
				t.Errorf("%v: the interceptor sees %v, %v", test.err, response, err)
			}
			return response, err
		}
		next := func(context.Context) error { return test.err }
		if got := middleware.UnaryRun(look).Run(t.Context(), call(), next); !errors.Is(got, test.err) {
			t.Errorf("got %v, want %v", got, test.err)
		}
	}
}

func TestErrorsOfTheInterceptor(t *testing.T) {
	t.Parallel()
	other := errors.New("other")
	replace := func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		_, _ = handler(ctx, request)
		return nil, other
	}
	for _, err := range []error{nil, errors.New("broken")} {
		if got := middleware.UnaryRun(replace).Run(t.Context(), call(), func(context.Context) error { return err }); !errors.Is(got, other) {
			t.Errorf("%v: got %v", err, got)
		}
	}
}

func TestHandlersRunOnce(t *testing.T) {
	t.Parallel()
	twice := func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		_, _ = handler(ctx, request)
		return handler(ctx, request)
	}
	runs := 0
	err := middleware.UnaryRun(twice).Run(t.Context(), call(), func(context.Context) error {
		runs++
		return errors.New("broken")
	})
	if runs != 1 || status.Code(err) != codes.FailedPrecondition || rpc.SafeToRetry(err) {
		t.Errorf("%d runs, %v", runs, err)
	}
}

// headers stands for the RPC of a typed call.
type headers struct{ set []string }

func (*headers) Method() string { return "/oslorpc.v1.RPCService/Call" }

func (h *headers) SetHeader(md metadata.MD) error  { return h.add("header", md) }
func (h *headers) SendHeader(md metadata.MD) error { return h.add("sent", md) }
func (h *headers) SetTrailer(md metadata.MD) error { return h.add("trailer", md) }

func (h *headers) add(what string, md metadata.MD) error {
	h.set = append(h.set, what+" "+strings.Join(md.Get("n"), ","))
	return nil
}

func TestHeadersOfAnswers(t *testing.T) {
	t.Parallel()
	set := func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		md := metadata.Pairs("n", "1")
		if err := errors.Join(grpc.SetHeader(ctx, md), grpc.SendHeader(ctx, md), grpc.SetTrailer(ctx, md)); err != nil {
			return nil, err
		}
		return handler(ctx, request)
	}
	typed, cast := call(), call()
	typed.Service, cast.Service, cast.Delivery = "volumes.v1.Volumes", "volumes.v1.Volumes", rpc.DeliveryCast
	for _, test := range []struct {
		message *rpc.Message
		want    int
	}{{typed, 3}, {cast, 0}, {call(), 0}} {
		h := &headers{}
		if _, err := accept(grpc.NewContextWithServerTransportStream(t.Context(), h), test.message, set); err != nil || len(h.set) != test.want {
			t.Errorf("got %v, %v", h.set, err)
		}
		if _, err := accept(t.Context(), test.message, set); err != nil {
			t.Error(err)
		}
	}
}
