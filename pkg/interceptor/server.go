package interceptor

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	"github.com/oslorpc/oslorpc/internal/typed"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// server is the configuration of a server's interceptors. It is immutable.
type server struct {
	target   rpc.Target
	table    []Implementation
	hasTable bool

	versions map[string][]rpc.Version // by namespace, of the table
	listed   []*pb.Implementation     // the same for refusals
	err      error                    // a mistake in the options
}

func newServer(options []ServerOption) *server {
	s := server{versions: map[string][]rpc.Version{}}
	for _, o := range options {
		o.applyServer(&s)
	}
	err := checkTarget(s.target)
	for _, i := range s.table {
		v, bad := rpc.ParseVersion(i.Version)
		if bad != nil {
			err = mistake("WithImplemented, namespace %q: %v", i.Namespace, bad)
		}
		s.versions[i.Namespace] = append(s.versions[i.Namespace], v)
		s.listed = append(s.listed, listed(i.Namespace, v))
	}
	if err != nil {
		s.err = rpcstatus.Encode(err, nil).Err()
	}
	return &s
}

func listed(namespace string, v rpc.Version) *pb.Implementation {
	i := &pb.Implementation{Version: v.String()}
	if namespace != "" {
		i.Namespace = &namespace
	}
	return i
}

// UnaryServer returns the interceptor of a server's unary calls, for grpc.ChainUnaryInterceptor.
//
// Handlers, and later interceptors, find the request's target with [TargetFrom]. If the options are
// invalid, every call fails with the code Internal, also health checks.
func UnaryServer(options ...ServerOption) grpc.UnaryServerInterceptor {
	return newServer(options).unary
}

// StreamServer returns the interceptor of a server's streams, for grpc.ChainStreamInterceptor; see
// [UnaryServer].
func StreamServer(options ...ServerOption) grpc.StreamServerInterceptor {
	return newServer(options).stream
}

func (s *server) unary(ctx context.Context, message any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	r, err := s.admit(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return handle(ctx, message)
	}
	result, err := handle(context.WithValue(ctx, requestKey{}, r), message)
	if r.header.Report {
		_ = grpc.SetTrailer(ctx, s.trailer(r.method)) // it fails only if the RPC is over
	}
	return result, s.passOn(err)
}

func (s *server) stream(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	r, err := s.admit(stream.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	if r == nil {
		return handle(service, stream)
	}
	if r.header.Report {
		stream.SetTrailer(s.trailer(r.method))
	}
	ctx := context.WithValue(stream.Context(), requestKey{}, r)
	return s.passOn(handle(service, &serverStream{ServerStream: stream, ctx: ctx}))
}

// serverStream is a stream with a context in which [TargetFrom] finds the request's target.
type serverStream struct {
	grpc.ServerStream

	ctx context.Context //nolint:containedctx // A stream has one.
}

// Context returns the stream's context.
func (s *serverStream) Context() context.Context { return s.ctx }

// admit checks a request. It returns nil without an error if the service has no rules. The error is
// a gRPC status.
func (s *server) admit(ctx context.Context, path string) (*request, error) {
	if s.err != nil {
		return nil, s.err
	}
	m, err := find(path)
	if err != nil {
		return nil, rpcstatus.Encode(mistake("%v", err), nil).Err()
	}
	if m == nil {
		return nil, nil
	}
	r := &request{method: m}
	if r.header, err = header.Read(ctx); err == nil {
		r.header.Report = header.WantsReport(ctx)
		err = r.names().Validate()
	}
	if err != nil {
		return nil, s.refuse(r, &rpc.Error{Kind: rpc.InvalidTarget, Message: text(err)})
	}
	if e := s.check(r); e != nil {
		return nil, s.refuse(r, e)
	}
	return r, nil
}

// text returns the message of an [rpc.Error] without its kind, and the text of any other error.
func text(err error) string {
	if e, ok := errors.AsType[*rpc.Error](err); ok {
		return e.Message
	}
	return err.Error()
}

// check returns why a request cannot run here, or nil if it can.
func (s *server) check(r *request) *rpc.Error {
	if e := s.misdirected(r); e != nil {
		return e
	}
	versions := s.implemented(r.method)
	serves := func(asked rpc.Version) bool {
		return slices.ContainsFunc(versions, func(v rpc.Version) bool { return v.Serves(asked) })
	}
	if asked := r.version(); !serves(asked) {
		return &rpc.Error{Kind: rpc.UnsupportedVersion, Message: fmt.Sprintf(
			"version %s of %s is asked for, and this server implements %s", asked, interfaceOf(r.method), list(versions))}
	}
	if !serves(r.method.Since) {
		return &rpc.Error{Kind: rpc.NoSuchMethod, Message: fmt.Sprintf(
			"it appeared in version %s of %s, and this server implements %s", r.method.Since, interfaceOf(r.method), list(versions))}
	}
	return nil
}

// misdirected returns the error for a request whose target is not this server, or nil.
func (s *server) misdirected(r *request) *rpc.Error {
	asked := r.header.Topic
	if asked == "" {
		asked = r.method.Service.Topic
	}
	for _, f := range [...]struct{ name, own, asked string }{
		{"exchange", s.target.Exchange, r.header.Exchange}, {"topic", s.target.Topic, asked}, {"server", s.target.Server, r.header.Server},
	} {
		if f.own != "" && f.asked != "" && f.own != f.asked {
			e := refusal.New(refusal.Misdirected)
			e.Message = fmt.Sprintf("the request is for the %s %q, and this is %q", f.name, f.asked, f.own)
			return e
		}
	}
	return nil
}

// implemented returns the implemented versions of a method's namespace.
func (s *server) implemented(m *typed.Method) []rpc.Version {
	if s.hasTable {
		return s.versions[m.Service.Namespace]
	}
	return []rpc.Version{m.Service.Version}
}

func (s *server) trailer(m *typed.Method) metadata.MD {
	return metadata.Pairs(header.Implemented, header.FormatVersions(s.implemented(m)))
}

// refuse returns the status of a refused request. It says what is implemented.
func (s *server) refuse(r *request, e *rpc.Error) error {
	e.Method, e.NotStarted, e.Server = r.method.Path, true, s.target.Server
	e.Target.Version = r.version().String()
	seen := s.listed
	if !s.hasTable {
		seen = []*pb.Implementation{listed(r.method.Service.Namespace, r.method.Service.Version)}
	}
	return rpcstatus.Encode(e, seen).Err()
}

// passOn returns the error of a handler for its caller. An error that the handler made stays
// unchanged. An [rpc.Error] from a call that the handler made becomes a remote error, because what
// it says about the inner call, such as that its method did not start, is not true of the handler.
func (s *server) passOn(err error) error {
	if err == nil {
		return nil
	}
	e, ours := errors.AsType[*rpc.Error](err)
	if !ours && detailOf(err) != nil {
		e, ours = rpcstatus.Decode(err, true), true
	}
	if !ours {
		return err
	}
	remote := rpc.RemoteError{Type: "oslorpc." + e.Kind.Name(), Message: e.Error()}
	if further, ok := errors.AsType[*rpc.RemoteError](e); ok {
		remote = *further
		remote.Hops = slices.Clone(further.Hops)
	}
	if s.target.Server != "" {
		remote.Hops = append(remote.Hops, s.target.Server)
	}
	return rpcstatus.Encode(&rpc.Error{Kind: rpc.Remote, Message: remote.Error(), Server: s.target.Server, Cause: &remote}, nil).Err()
}

// interfaceOf returns the interface's name for error texts.
func interfaceOf(m *typed.Method) string {
	if m.Service.Namespace == "" {
		return "the default namespace"
	}
	return "the namespace " + m.Service.Namespace
}

func list(versions []rpc.Version) string {
	if len(versions) == 0 {
		return "nothing of it"
	}
	return header.FormatVersions(versions)
}
