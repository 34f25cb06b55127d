package interceptor

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/internal/typed"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// client is the configuration of a client's interceptors. It is immutable.
type client struct {
	capText string
	aliases map[string]string
	target  rpc.Target
	report  func(Report)

	cap limit
	err error // a mistake in the options
}

func newClient(options []ClientOption) *client {
	var c client
	for _, o := range options {
		o.applyClient(&c)
	}
	var err error
	if c.cap, err = parseCap(c.capText, c.aliases); err == nil {
		err = checkTarget(c.target)
	}
	if err != nil {
		c.err = fail(err.(*rpc.Error)) //nolint:errorlint // It comes from mistake.
	}
	return &c
}

// UnaryClient returns the interceptor of a client's unary calls, for
// grpc.WithChainUnaryInterceptor.
//
// In a chain, put it after interceptors that change requests. If the options are invalid, every
// call fails with the kind [rpc.Invalid], also calls to services without version rules.
func UnaryClient(options ...ClientOption) grpc.UnaryClientInterceptor {
	return newClient(options).unary
}

// StreamClient returns the interceptor of a client's streams, for grpc.WithChainStreamInterceptor;
// see [UnaryClient].
//
// A stream opens with its first message, which gives the version of the stream. If the client
// closes its side without a message, the stream opens then. Until then, receiving waits. So a
// client must send a message or close its side before it waits for a reply. If a later message
// needs more than the stream's version even after fields were dropped, the stream ends with the
// kind [rpc.UnsupportedVersion].
func StreamClient(options ...ClientOption) grpc.StreamClientInterceptor {
	return newClient(options).stream
}

func (c *client) unary(
	ctx context.Context, path string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	m, err := c.find(path)
	if err != nil {
		return err
	}
	if m == nil {
		return invoke(ctx, path, request, reply, conn, options...)
	}
	fitted, version, ok := c.cap.fit(m, request)
	if !ok {
		return c.exceeded(m, request)
	}
	ctx = c.write(ctx, m, version)
	if c.report == nil {
		return c.explain(m, version, invoke(ctx, path, fitted, reply, conn, options...))
	}
	var trailer metadata.MD
	err = invoke(ctx, path, fitted, reply, conn, append(slices.Clip(options), grpc.Trailer(&trailer))...)
	c.tell(m, trailer, err)
	return c.explain(m, version, err)
}

// find returns the method of a path, or nil if the call passes unchanged.
func (c *client) find(path string) (*typed.Method, error) {
	if c.err != nil {
		return nil, c.err
	}
	m, err := find(path)
	if err != nil {
		return nil, failWith(err, path)
	}
	return m, nil
}

// write returns a context with headers for the version, exchange, topic and server. It omits a
// topic that is the same as in the service's options.
func (c *client) write(ctx context.Context, m *typed.Method, version rpc.Version) context.Context {
	r := header.Request{
		Version: version, HasVersion: true, // without it, a server takes the .0 of its own major version to be meant
		Exchange: c.target.Exchange, Topic: c.target.Topic, Server: c.target.Server, Report: c.report != nil,
	}
	if r.Topic == m.Service.Topic {
		r.Topic = ""
	}
	return header.Amend(ctx, &r)
}

// implied returns the version of a call that carries none.
func implied(m *typed.Method) rpc.Version { return rpc.Version{Major: m.Service.Version.Major} }

// targetOf returns the target of a call.
func (c *client) targetOf(m *typed.Method, version rpc.Version) rpc.Target {
	t := rpc.Target{
		Exchange: c.target.Exchange, Topic: c.target.Topic, Server: c.target.Server,
		Namespace: m.Service.Namespace, Version: version.String(),
	}
	if t.Topic == "" {
		t.Topic = m.Service.Topic
	}
	return t
}

func (c *client) explain(m *typed.Method, version rpc.Version, err error) error {
	if err == nil {
		return nil
	}
	return explain(err, c.targetOf(m, version), m.Path)
}

// exceeded returns the error for a message that the cap forbids.
func (c *client) exceeded(m *typed.Method, message any) error {
	return fail(&rpc.Error{
		Kind: rpc.VersionCapExceeded, NotStarted: true, Message: c.cap.excess(m, message),
		Target: c.targetOf(m, needOf(m, message).Floor), Method: m.Path,
	})
}
