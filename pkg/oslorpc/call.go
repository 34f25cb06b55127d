package oslorpc

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/oslorpc/oslorpc/internal/delivery"
	"github.com/oslorpc/oslorpc/internal/errtype"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/internal/payload"
	"github.com/oslorpc/oslorpc/internal/route"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Call has one server run a method and returns its result: any server on the client's topic, or the one that it names. Args
// are the keyword arguments: nil for none, a struct whose JSON names are their names, a map with string keys, or [Raw].
//
// The deadline is the earlier of that of ctx and of [WithTimeout], or [DefaultCallTimeout]. Errors are an [*Error]; if the
// method itself failed, errors.As finds a [*RemoteError]. Of a streaming method it returns the last item.
func Call[R any](ctx context.Context, c *Client, method string, args any) (R, error) {
	var result R
	answer, err := c.call(ctx, method, args)
	if err != nil {
		return result, err
	}
	text, err := resultText(answer.result)
	if err == nil {
		err = c.settings.read(ctx, text, &result)
	}
	return result, c.name(delivery.At(err, answer.from), method)
}

// Cast has one server run a method, without waiting for it: it returns when a server has accepted the message into its queue.
// The message then runs once, unless that server dies first. If the client's target is a fanout, every server is sent to, as
// by [Client.Fanout], and what came of it is not reported.
//
// The deadline is the earlier of that of ctx and of [WithTimeout], or [DefaultCastTimeout]; it ends at acceptance.
func (c *Client) Cast(ctx context.Context, method string, args any) error {
	return c.lossy(method, c.cast(ctx, method, args))
}

// lossy returns the error of a cast, unless it is one that [WithLossyCasts] forgets.
func (c *Client) lossy(method string, err error) error {
	if c.settings.lossyCasts && IsNotDelivered(err) {
		c.transport.config.log.Warn("cast lost", "method", method, "error", err)
		return nil
	}
	return err
}

func (c *Client) cast(ctx context.Context, method string, args any) error {
	if c.settings.target.Fanout {
		_, err := c.Fanout(ctx, method, args)
		return err
	}
	m, err := c.message(ctx, method, args)
	if err != nil {
		return err
	}
	ctx, cancel := c.deadline(ctx, DefaultCastTimeout)
	defer cancel()
	d := c.delivery(&m)
	d.Cast = true
	return delivery.One(ctx, c.watched(), d, m.cast)
}

// answer is the result of a call, and the instance that it came from.
type answer struct {
	result *pb.Payload
	from   *route.Entry
}

func (c *Client) call(ctx context.Context, method string, args any) (got answer, err error) {
	if c.settings.target.Fanout {
		return answer{}, c.name(&Error{Kind: InvalidTarget, NotStarted: true, Message: "a call cannot be used with fanout"}, method)
	}
	m, err := c.message(ctx, method, args)
	if err != nil {
		return answer{}, err
	}
	send := func(ctx context.Context, a delivery.Attempt) (err error) {
		got.from = a.Entry
		got.result, err = m.ask(ctx, a)
		return err
	}
	err = c.timed(ctx, method, func(ctx context.Context) error {
		d := c.delivery(&m)
		d.Silence = m.monitor
		return delivery.One(ctx, c.watched(), d, send)
	})
	return got, err
}

// timed makes a call with its deadline, or with that of the client's back-off.
func (c *Client) timed(ctx context.Context, method string, call func(context.Context) error) error {
	if s := &c.settings; s.backoff != nil && !s.hasTimeout {
		return s.backoff.call(ctx, s.target.Namespace, method, call)
	}
	ctx, cancel := c.deadline(ctx, DefaultCallTimeout)
	defer cancel()
	return call(ctx)
}

// fits returns an error if a request of n bytes is too large.
func (c *Client) fits(n int) error {
	limit := c.transport.config.maxSize
	if n <= limit {
		return nil
	}
	return &Error{Kind: TooLarge, Message: fmt.Sprintf(
		"the request has %d bytes, and the limit is %d: send less at a time, or raise it with WithMaxMessageSize", n, limit)}
}

// fitsHeaders returns an error if the content of headers is too large: the metadata that a program
// adds to its messages, and the request context of a typed one.
func (c *Client) fitsHeaders(ctx context.Context, requestContext string) error {
	md, _ := metadata.FromOutgoingContext(ctx)
	n, limit := header.Size(md), c.transport.config.maxHeader-headerShare
	if requestContext != "" {
		n += header.FieldSize(header.Context, requestContext)
	}
	if n <= limit {
		return nil
	}
	return &Error{Kind: TooLarge, Message: fmt.Sprintf(
		"the metadata and the request context take %d bytes of headers, and the limit is %d: send less of them, or raise it with WithMaxHeaderSize, "+
			"if all servers and proxies take as much", n, limit)}
}

// deadline returns ctx with the deadline of an operation.
func (c *Client) deadline(ctx context.Context, standard time.Duration) (context.Context, context.CancelFunc) {
	if c.settings.hasTimeout {
		return context.WithTimeout(ctx, c.settings.timeout)
	}
	if _, has := ctx.Deadline(); has {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, standard)
}

// delivery returns what delivery needs to know of a message.
func (c *Client) delivery(m *outgoing) *delivery.Message {
	s := &c.settings
	d := &delivery.Message{
		Target: s.target, Method: m.method, Query: m.first.query, Auto: s.cap.IsAuto(),
		Turn: c.turn.Add(1), Rounds: s.retry + 1, FailFast: s.failFast,
	}
	for _, v := range m.lesser {
		d.Fallbacks = append(d.Fallbacks, v.query)
	}
	for i := range 1 + len(m.lesser) {
		d.Size = max(d.Size, len(m.form(i).kwargs.GetJson())+len(m.context.GetJson()))
	}
	return d
}

// name completes an error with the message that it is about.
func (c *Client) name(err error, method string) error {
	return failure.Name(err, c.settings.target, method)
}

// outgoing is a message, ready to be sent.
type outgoing struct {
	first       variant
	lesser      []variant
	method, id  string
	context     *pb.Payload
	intercepted bool // by interceptors of the user's
	transport   *Transport
	errors      *errtype.Registry
	monitor     time.Duration // as WithCallMonitorTimeout
	orderKey    string        // as WithOrderKey
}

// message checks and encodes a message. Nothing is sent yet.
func (c *Client) message(ctx context.Context, method string, args any) (outgoing, error) {
	m, err := c.encode(ctx, method, args)
	if err != nil {
		return outgoing{}, c.name(failure.NotStarted(err), method)
	}
	return m, nil
}

func (c *Client) encode(ctx context.Context, method string, args any) (outgoing, error) {
	s := &c.settings
	switch {
	case s.err != nil:
		return outgoing{}, s.err
	case c.transport.closed.Load():
		return outgoing{}, errClosed()
	}
	if err := rpc.ValidateMethod(method); err != nil {
		return outgoing{}, err
	}
	if err := c.fitsHeaders(ctx, ""); err != nil {
		return outgoing{}, err
	}
	first, lesser, requestContext, err := s.variants(ctx, method, args)
	if err != nil {
		return outgoing{}, err
	}
	m := outgoing{
		first: first, lesser: lesser, method: method, id: c.transport.messageID(), errors: &c.transport.config.errors,
		intercepted: len(c.transport.config.dialOptions) > 0, transport: c.transport, monitor: s.monitor,
		orderKey: s.orderKey,
	}
	for i := range 1 + len(lesser) {
		if err := c.fits(len(m.form(i).kwargs.GetJson()) + len(requestContext)); err != nil {
			return outgoing{}, err
		}
	}
	if requestContext != "" {
		m.context = payload.JSON(requestContext)
	}
	return m, nil
}

// resultText returns a result as JSON text. A peer in another language may answer in values.
func resultText(p *pb.Payload) (string, error) {
	text, err := payload.Text(p, rpc.BadResult)
	return cmp.Or(text, "null"), err
}

// unary is one unary RPC: its messages, and the peer, if a stream was opened to it. It is made for every message, so its parts are
// one allocation, and it does without the generated client, which would make three more.
type unary[Request, Response any] struct {
	request  Request
	response Response
	evidence evidence
}

// request and response are the messages of the RPC, whose types unary knows only as parameters.
func (u *unary[Request, Response]) invoke(
	ctx context.Context, m *outgoing, conn *grpc.ClientConn, method string, request, response proto.Message,
) error {
	u.evidence.contract, u.evidence.request, u.evidence.transport = true, request, m.transport
	err := u.evidence.invoke(m.witnessed(ctx, &u.evidence), !m.intercepted, conn, method, request, response,
		grpc.StaticMethod(), grpc.Peer(&u.evidence.opened))
	return u.evidence.error(ctx, err)
}

// witnessed returns ctx with the evidence, if there are interceptors that stand in the way of it.
func (m *outgoing) witnessed(ctx context.Context, e *evidence) context.Context {
	if !m.intercepted {
		return ctx
	}
	return context.WithValue(ctx, evidenceKey{}, e)
}

// targetAt returns the target of a message for an instance. A static address has no id by which the process behind it could tell which
// of its servers is meant.
func (v *variant) targetAt(e *route.Entry) *pb.Target {
	if e.ID != "" || e.Server == "" || v.target.Server != nil {
		return v.target
	}
	return &pb.Target{
		Exchange: v.target.Exchange, Topic: v.target.Topic, Namespace: v.target.Namespace, Version: v.target.Version, Server: &e.Server,
	}
}

func (m *outgoing) call(ctx context.Context, a delivery.Attempt) (*pb.Payload, error) {
	conn, err := connOf(a)
	if err != nil {
		return nil, err
	}
	u := &unary[pb.CallRequest, pb.CallResponse]{request: pb.CallRequest{Message: m.at(a)}}
	if err := u.invoke(ctx, m, conn, pb.RPCService_Call_FullMethodName, &u.request, &u.response); err != nil {
		return nil, m.errors.Rebuild(err) // an interceptor that returned early may still have the response written to
	}
	return u.response.GetResult(), nil
}

func (m *outgoing) cast(ctx context.Context, a delivery.Attempt) error {
	conn, err := connOf(a)
	if err != nil {
		return err
	}
	u := &unary[pb.CastRequest, pb.CastResponse]{request: pb.CastRequest{Message: m.at(a)}}
	return u.invoke(ctx, m, conn, pb.RPCService_Cast_FullMethodName, &u.request, &u.response)
}

// at returns the message for an attempt.
func (m *outgoing) at(a delivery.Attempt) *pb.Message {
	v, message := m.form(a.Variant), &pb.Message{
		Method: m.method, Context: m.context, Id: m.id, InstanceId: a.Entry.ID, OrderKey: m.orderKey,
	}
	message.Target, message.Kwargs = v.targetAt(a.Entry), v.kwargs
	if a.Missed > 0 {
		message.Missed = durationpb.New(a.Missed)
	}
	return message
}
