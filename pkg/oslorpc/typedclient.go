package oslorpc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/oslorpc/oslorpc/internal/delivery"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/internal/requestctx"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	"github.com/oslorpc/oslorpc/internal/typed"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Generated stubs work on a client.
var _ grpc.ClientConnInterface = (*Client)(nil)

// Invoke sends a message of a typed service, a program's own protobuf service: generated stubs call it, as in
// inventorypb.NewInventoryClient(client).GetVolume(ctx, request).
//
// The client's target says who is meant, by exchange, topic, server and fanout; without a topic it is the one of the service's
// options (oslorpc/v1/options.proto). Those options also say the namespace, and which version a message needs: the latest since which
// its method, the fields that are set and their enum values are there. The namespace and the version of the client's target do not
// count. The client's cap, and whom the message can go to, are settled by that version, as for every message: what the options let be dropped for older
// peers is removed, on a copy, if nobody who is meant serves it or the cap forbids it; other fields make the message fail before it is sent, with an error
// that names the field and the version.
//
// A method whose delivery is a cast or a fanout returns when the message is accepted; see [FanoutReport]. Deadlines are as for [Call] and
// [Client.Cast]. Whether the message waits for somebody who takes it is for [WithFailFast] to say, or for a call option, grpc.WaitForReady.
// Errors are an [*Error], and a gRPC status as well: the one that the method returned, or the one that the kind stands for.
func (c *Client) Invoke(ctx context.Context, path string, args, reply any, options ...grpc.CallOption) error {
	m, err := c.typedMessage(ctx, path, args)
	if err != nil {
		return err
	}
	m.options = options
	switch {
	case m.method.Delivery == typed.Fanout, m.method.Delivery == typed.Cast && m.client.settings.target.Fanout:
		return m.fail(m.fanout(ctx))
	case m.client.settings.target.Fanout:
		return m.fail(&Error{Kind: InvalidTarget, NotStarted: true, Message: "a call cannot be used with fanout"})
	}
	send := func(ctx context.Context, a delivery.Attempt) error { return m.invoke(ctx, a, reply) }
	if m.method.Delivery == typed.Cast {
		return m.client.lossy(m.method.Name, m.fail(m.cast(ctx, send)))
	}
	return m.fail(m.call(ctx, send))
}

func (m *typedMessage) cast(ctx context.Context, send delivery.Send) error {
	ctx, cancel := m.client.deadline(ctx, DefaultCastTimeout)
	defer cancel()
	d := m.delivery()
	d.Cast = true
	return delivery.One(ctx, m.client.watched(), d, send)
}

func (m *typedMessage) call(ctx context.Context, send delivery.Send) error {
	return m.client.timed(ctx, m.method.Name, func(ctx context.Context) error {
		return delivery.One(ctx, m.client.watched(), m.delivery(), send)
	})
}

// FanoutReport has a typed method whose delivery is a fanout tell what came of it at each server, once it has returned without an
// error: generated stubs take it as a call option. Other methods leave report as it is.
func FanoutReport(report *Report) grpc.CallOption { return fanoutReport{report: report} }

type fanoutReport struct {
	grpc.EmptyCallOption

	report *Report
}

// typedMessage is a message of a typed service, ready to be sent.
type typedMessage struct {
	client  *Client
	path    string
	method  *typed.Method
	message proto.Message
	// needed is what the message needs as it is; first is that, unless the cap forbids it, and lesser are those at which it can be
	// sent if something is dropped.
	needed  rpc.Version
	first   rpc.Version
	lesser  []rpc.Version
	id      string
	context string
	options []grpc.CallOption

	fitting sync.Mutex
	fitted  map[int]proto.Message // by variant
}

// typedMessage checks a message. Nothing is sent yet.
func (c *Client) typedMessage(ctx context.Context, path string, args any) (*typedMessage, error) {
	m := &typedMessage{client: c, path: path}
	message, ok := args.(proto.Message)
	if !ok {
		return nil, m.fail(failure.NotStarted(invalidUse("the message is a %T, which is no protobuf message", args)))
	}
	var err error
	if m.method, err = typed.FindMethod(path); err != nil {
		return nil, m.fail(failure.NotStarted(invalidUse("%v", err)))
	}
	m.client, m.message = c.forService(m.method.Service), message
	if err := m.prepare(ctx); err != nil {
		return nil, m.fail(failure.NotStarted(err))
	}
	return m, nil
}

// prepare settles at which versions the message can be sent, and what travels with it.
func (m *typedMessage) prepare(ctx context.Context) (err error) {
	s := &m.client.settings
	switch {
	case s.err != nil && s.target.Topic == "":
		return &Error{Kind: InvalidTarget, Message: fmt.Sprintf(
			"neither the client's target nor the options of the service %s name a topic", m.method.Service.Name)}
	case s.err != nil:
		return s.err
	case m.client.transport.closed.Load():
		return errClosed()
	}
	need := typed.Need{Version: m.method.Since, Floor: m.method.Since}
	if m.message != nil {
		need = m.method.Need(m.message)
		if err := m.client.fits(proto.Size(m.message)); err != nil {
			return err
		}
	}
	m.needed, m.first = need.Version, need.Version
	if need.Floor != need.Version {
		m.lesser = m.method.Steps(m.message)[1:]
	}
	if err := m.cap(); err != nil {
		return err
	}
	if m.context, err = s.contextText(ctx); err != nil {
		return err
	}
	if err := m.client.fitsHeaders(ctx, m.context); err != nil {
		return err
	}
	if m.method.Delivery != typed.Call || s.orderKey != "" { // a call is not worth the header: nothing repeats it
		m.id = m.client.transport.messageID()
	}
	return nil
}

// cap leaves the versions that the cap allows.
func (m *typedMessage) cap() error {
	s := &m.client.settings
	for !s.cap.Allows(m.first) {
		if len(m.lesser) == 0 {
			return &Error{Kind: VersionCapExceeded, Message: fmt.Sprintf("%s; the cap is %s", m.blame(m.first), s.cap)}
		}
		m.first, m.lesser = m.lesser[0], m.lesser[1:]
	}
	return nil
}

// blame says what in the message needs its version.
func (m *typedMessage) blame(needed rpc.Version) string {
	below := rpc.Version{Major: needed.Major}
	if e, ok := m.blamed(below); ok && e.Path != "" {
		return fmt.Sprintf("field %s of %s needs version %s", e.Path, m.message.ProtoReflect().Descriptor().FullName(), e.Since)
	}
	return fmt.Sprintf("method %s needs version %s", m.method.Name, needed)
}

func (m *typedMessage) blamed(below rpc.Version) (typed.Element, bool) {
	if m.message == nil {
		return typed.Element{}, false
	}
	return m.method.Blame(m.message, below)
}

func (m *typedMessage) delivery() *delivery.Message {
	s := &m.client.settings
	d := &delivery.Message{
		Target: s.target, Method: m.method.Name, Query: m.query(m.first), Auto: s.cap.IsAuto(),
		Turn: m.client.turn.Add(1), Rounds: s.retry + 1, FailFast: s.failFast,
		Blame: m.blameLeast,
	}
	for _, o := range m.options {
		if asked, ok := o.(grpc.FailFastCallOption); ok {
			d.FailFast = asked.FailFast
		}
	}
	for _, v := range m.lesser {
		d.Fallbacks = append(d.Fallbacks, m.query(v))
	}
	return d
}

// blameLeast is blame for the least version at which the message can be sent.
func (m *typedMessage) blameLeast() string {
	if n := len(m.lesser); n > 0 {
		return m.blame(m.lesser[n-1])
	}
	return m.blame(m.first)
}

func (m *typedMessage) query(v rpc.Version) route.Query {
	return route.Query{Namespace: m.method.Service.Namespace, Version: v}
}

// version returns the version of a variant.
func (m *typedMessage) version(variant int) rpc.Version {
	if variant == 0 {
		return m.first
	}
	return m.lesser[variant-1]
}

// form returns the message as it is in a variant.
func (m *typedMessage) form(variant int) proto.Message {
	if m.version(variant).Compare(m.needed) >= 0 {
		return m.message
	}
	m.fitting.Lock()
	defer m.fitting.Unlock()
	if m.fitted == nil {
		m.fitted = map[int]proto.Message{}
	}
	if m.fitted[variant] == nil {
		m.fitted[variant] = m.method.Fit(m.message, m.version(variant))
	}
	return m.fitted[variant]
}

// headers returns ctx with what a variant's path does not say. A static address has no id by which the process behind it could tell
// which of its servers is meant.
func (m *typedMessage) headers(ctx context.Context, a delivery.Attempt) context.Context {
	e, v := a.Entry, m.version(a.Variant)
	// Without a version, a server takes the .0 of its own major version to be meant. Of an instance
	// that is listed, that is known to be ours.
	needed := e.ID == "" || v != rpc.Version{Major: v.Major}
	h := header.Request{Version: v, HasVersion: needed, Instance: e.ID, ID: m.id, Context: m.context, Missed: a.Missed}
	h.OrderKey = m.client.settings.orderKey
	if a.Missed > 0 && h.ID == "" {
		h.ID = m.client.transport.messageID()
	}
	if e.ID == "" {
		t := &m.client.settings
		h.Exchange, h.Topic, h.Server = t.wire.GetExchange(), t.target.Topic, cmp.Or(t.target.Server, e.Server)
	}
	return header.Write(ctx, &h)
}

// neverWait keeps gRPC from waiting for a connection, whatever a program asks it for: the message may go to another server meanwhile.
var neverWait = grpc.WaitForReady(false)

// typedEvidence is the evidence of one unary RPC, with room for its options.
type typedEvidence struct {
	evidence

	header, trailer metadata.MD
	options         [6]grpc.CallOption
}

// invoke sends a variant to one instance.
func (m *typedMessage) invoke(ctx context.Context, a delivery.Attempt, reply any) error {
	conn, err := connOf(a)
	if err != nil {
		return err
	}
	u := &typedEvidence{}
	form, intercepted := m.form(a.Variant), len(m.client.transport.config.dialOptions) > 0
	u.request, u.transport = form, m.client.transport
	if intercepted {
		ctx = context.WithValue(header.Complete(ctx), evidenceKey{}, &u.evidence)
	}
	options := append(append(append(u.options[:0], grpc.Peer(&u.opened), grpc.Header(&u.header), grpc.Trailer(&u.trailer),
		m.client.transport.config.typedLimit), m.options...), neverWait)
	err = u.invoke(m.headers(ctx, a), !intercepted, conn, m.path, form, reply, options...)
	if !intercepted { // else an interceptor may return while gRPC still writes them
		u.unanswered.Store(hasPeer(&u.opened) && len(u.header) == 0 && len(u.trailer) == 0)
	}
	return m.explain(u.error(ctx, err), err)
}

// explain completes the error of an RPC with the status that it came with, and the Go error that the program registered for it.
func (m *typedMessage) explain(ours, came error) error {
	if ours == nil {
		return nil
	}
	ours = m.client.transport.config.errors.Rebuild(ours)
	e, ok := errors.AsType[*Error](ours)
	if !ok {
		return ours
	}
	st, _ := status.FromError(came)
	st = rpcstatus.Short(st)
	copied := *e
	copied.Cause = cameWith{cause: e.Cause, status: st}
	return &copied
}

// cameWith is the cause of an error that came as a status.
type cameWith struct {
	cause  error
	status *status.Status
}

// Error returns the text of the cause.
func (c cameWith) Error() string {
	if c.cause == nil {
		return c.status.Message()
	}
	return c.cause.Error()
}

// Unwrap returns the cause.
func (c cameWith) Unwrap() error { return c.cause }

// fail returns an error of the message as its caller sees it: as a status, too.
func (m *typedMessage) fail(err error) error {
	if err == nil {
		return nil
	}
	name := m.path
	if m.method != nil {
		name = m.method.Name
	}
	target := m.client.settings.target
	if m.first != (rpc.Version{}) {
		target.Version = m.first.String()
	}
	err = failure.Name(err, target, name)
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	if came, ok := errors.AsType[cameWith](e); ok {
		return rpcstatus.WithStatus(e, came.status)
	}
	return rpcstatus.WithStatus(e, nil)
}

// fanout sends the message to everybody.
func (m *typedMessage) fanout(ctx context.Context) error {
	for _, o := range m.options {
		switch o.(type) {
		case grpc.HeaderCallOption, grpc.TrailerCallOption, grpc.PeerCallOption:
			return invalidUse("a %T has no meaning for a fanout, which has many answers: use FanoutReport", o)
		}
	}
	// Else it would fail at each server, which would then be told that it missed a message.
	if _, err := proto.Marshal(m.message); err != nil {
		return &Error{Kind: BadArguments, NotStarted: true, Cause: err, Message: "the message cannot be encoded: " + err.Error()}
	}
	ctx, cancel := m.client.deadline(ctx, DefaultCastTimeout)
	defer cancel()
	d := m.delivery()
	d.Size = proto.Size(m.message)
	audience, err := delivery.AudienceOf(ctx, m.client.watched(), d)
	if err != nil {
		return err
	}
	report := newReport(ctx, audience, func(ctx context.Context, a delivery.Attempt) error {
		return m.invoke(ctx, a, &emptypb.Empty{}) // as the options of the method require
	})
	for _, o := range m.options {
		if r, ok := o.(fanoutReport); ok {
			*r.report = *report
		}
	}
	return nil
}

// forService returns the client for a typed service: its options say what the target does not.
func (c *Client) forService(s *typed.Service) *Client {
	if known, ok := c.services.Load(s); ok {
		return known.(*Client)
	}
	derived := c.Prepare(clientOption(func(settings *settings) {
		t := &settings.target
		t.Topic, t.Namespace, t.Version = cmp.Or(t.Topic, s.Topic), s.Namespace, ""
	}))
	known, _ := c.services.LoadOrStore(s, derived)
	return known.(*Client)
}

// contextText returns the request context in ctx as the text that travels, empty if there is none.
func (s *settings) contextText(ctx context.Context) (string, error) {
	if s.serializer == nil {
		return requestctx.Text(ctx)
	}
	dict, err := s.serializer.SerializeContext(ctx, contextOf(ctx))
	if err != nil {
		return "", badContext(err)
	}
	return requestctx.Text(WithContext(ctx, dict))
}
