package service

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/payload"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// open finds the server that a message is meant for and reads the message. On an error the server may be known or nil.
func (p *Process) open(ctx context.Context, m *pb.Message) (*Server, *dispatch.Request, error) {
	target, err := readTarget(m)
	if err != nil {
		return nil, nil, err
	}
	s, err := p.find(target, m.GetInstanceId())
	if err != nil {
		return nil, nil, err
	}
	if ago := m.GetMissed(); ago != nil && s.Missed != nil {
		s.Missed(ago.AsDuration())
	}
	request, err := p.read(m, target)
	if err != nil {
		return s, nil, err
	}
	request.Caller = callerOf(ctx)
	return s, request, nil
}

func readTarget(m *pb.Message) (rpc.Target, error) {
	if m == nil {
		return rpc.Target{}, invalid(rpc.Target{}, "`message` is required: it says who is meant, and what to run")
	}
	t := m.GetTarget()
	target := rpc.Target{
		Exchange: t.GetExchange(), Topic: t.GetTopic(), Namespace: t.GetNamespace(),
		Version: t.GetVersion(), Server: t.GetServer(), Fanout: t.GetFanout(),
	}
	if name := presentAndEmpty(t); name != "" {
		return target, invalid(target, fmt.Sprintf("`target.%s` is present and empty: leave it out", name))
	}
	if target.Fanout {
		return target, invalid(target, "a request reaches one server: to fan out, send one to each and leave `target.fanout` out")
	}
	if m.GetMethod() == "" {
		return target, invalid(target, "`method` is required: name the method to run")
	}
	if ago := m.GetMissed(); ago != nil && (!ago.IsValid() || ago.AsDuration() < 0) {
		return target, invalid(target, "`missed` is negative, or no duration: leave it out if no message failed")
	}
	if err := rpc.ValidateOrderKey(m.GetOrderKey()); err != nil {
		return target, err
	}
	if err := rpc.ValidateMethod(m.GetMethod()); err != nil {
		return target, err
	}
	return target, target.ValidateClient()
}

// presentAndEmpty returns the name of the first field that is given and empty, "" if there is none.
func presentAndEmpty(t *pb.Target) string {
	if t == nil {
		return ""
	}
	for _, f := range [...]struct {
		name  string
		value *string
	}{
		{"exchange", t.Exchange}, {"topic", t.Topic}, {"namespace", t.Namespace}, {"version", t.Version}, {"server", t.Server}, //nolint:protogetter // Presence counts.
	} {
		if f.value != nil && *f.value == "" {
			return f.name
		}
	}
	return ""
}

func invalid(target rpc.Target, message string) error {
	return &rpc.Error{Kind: rpc.InvalidTarget, Target: target, Message: message, NotStarted: true}
}

func (p *Process) read(m *pb.Message, target rpc.Target) (*dispatch.Request, error) {
	version, err := rpc.VersionOrDefault(target.Version)
	if err != nil {
		return nil, invalid(target, err.Error())
	}
	kwargs, err := read(m.GetKwargs(), "kwargs")
	if err != nil {
		return nil, err
	}
	context, err := read(m.GetContext(), "context")
	if err != nil {
		return nil, err
	}
	r := &dispatch.Request{
		Delivery: rpc.DeliveryCall, Method: m.GetMethod(), Target: target, Version: version,
		Kwargs: kwargs, Context: context, ID: m.GetId(),
		OrderKey: m.GetOrderKey(),
	}
	if kwargs == "" {
		r.Kwargs = "{}"
	}
	if n := len(kwargs) + len(context); n > p.config.MaxSize {
		return nil, &rpc.Error{Kind: rpc.TooLarge, NotStarted: true, Message: fmt.Sprintf(
			"the request has %d bytes, and this server takes %d: send less at a time, or raise the server's limit", n, p.config.MaxSize)}
	}
	return r, nil
}

// read returns a payload as JSON text, empty if there is none.
func read(p *pb.Payload, part string) (string, error) {
	text, err := payload.Text(p, rpc.BadArguments)
	if err != nil {
		return "", prefix(err, part)
	}
	return text, nil
}

// prefix says which part of a request an error is about.
func prefix(err error, part string) error {
	var e *rpc.Error
	if !errors.As(err, &e) {
		return err
	}
	copied := *e
	copied.Message = part + ": " + copied.Message
	copied.NotStarted = true
	return &copied
}

// encode returns JSON text in the encoding of the keyword arguments, so that whoever writes values by hand reads values.
func (p *Process) encode(text string, kwargs *pb.Payload) (*pb.Payload, error) {
	if len(text) > p.config.MaxSize {
		return nil, p.resultTooLarge(len(text), "")
	}
	if !utf8.ValidString(text) { // of a result that is JSON text already
		return nil, &rpc.Error{Kind: rpc.BadResult, Message: "the method ran, and its result is not UTF-8, which no message can hold"}
	}
	if _, json := kwargs.GetEncoding().(*pb.Payload_Json); json {
		return payload.JSON(text), nil
	}
	value, err := payload.ToValue(text, rpc.BadResult)
	if err != nil {
		return nil, err
	}
	if n := proto.Size(value); n > p.config.MaxSize { // a list of digits grows fivefold
		return nil, p.resultTooLarge(n, " as a protobuf value")
	}
	return &pb.Payload{Encoding: &pb.Payload_Value{Value: value}}, nil
}

func (p *Process) resultTooLarge(n int, form string) error {
	return &rpc.Error{Kind: rpc.TooLarge, Message: fmt.Sprintf(
		"the method ran, and its result has %d bytes%s where this server sends %d: return less at a time, or raise the server's limit",
		n, form, p.config.MaxSize)}
}

// sign completes an error with the message that it is about and the server that says so.
func sign(err error, s *Server, m *pb.Message) error {
	var e *rpc.Error
	if !errors.As(err, &e) {
		return err
	}
	signed := *e
	signed.Method = m.GetMethod()
	signed.Target.Version = m.GetTarget().GetVersion()
	if s != nil {
		signed.Server, signed.InstanceID = s.Instance.Server, s.Instance.ID
	}
	return &signed
}
