package client

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/typed"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// TypedCall is a message of a typed service, or the beginning of a stream.
type TypedCall struct {
	// Path is the path of the method: "/package.Service/Method".
	Path string
	// Message is the message, and Result receives the answer. Each may be nil if there is none;
	// otherwise it must be a protobuf message.
	Message, Result any
	// ClientStreams and ServerStreams say which ends of a stream send any number of messages.
	ClientStreams, ServerStreams bool
	// FailFast replaces the setting of the client, if it is not nil.
	FailFast *bool
	// Options are for the carrier.
	Options []any
	// Single is an option that cannot be used with a message that has many answers; nil for none.
	Single any
	// Report is called with the outcome of a fanout; nil for none.
	Report func(*Report)
}

// Invoke sends a message of a typed service, according to the options of its method.
func (c *Client) Invoke(ctx context.Context, call *TypedCall) error {
	o, err := c.typed(call)
	if err != nil {
		return err
	}
	if err := o.content.set(call.Message); err != nil {
		return o.name(err)
	}
	m := o.content.method
	switch {
	case m.Delivery == typed.Fanout, m.Delivery == typed.Cast && o.client.settings.Target.Fanout:
		return o.fanout(ctx, call)
	case m.Delivery == typed.Cast:
		o.kind = &casts
		return o.client.lossy(m.Name, o.run(ctx, o))
	default:
		o.kind = &typedCalls
		err := o.run(ctx, o)
		o.recycle(err)
		return err
	}
}

// fanout sends the message to all servers.
func (o *typedOperation) fanout(ctx context.Context, call *TypedCall) error {
	o.kind = &fanouts
	if call.Single != nil {
		return o.name(failure.Invalid("a %T has no meaning for a fanout, which has many answers: use FanoutReport", call.Single))
	}
	f := &fanning{operation: &o.operation}
	err := f.run(ctx, f)
	if f.report != nil && call.Report != nil {
		call.Report(f.report)
	}
	return err
}

// typedOperation is a message of a typed service.
type typedOperation struct {
	operation

	content typedContent
	typed   carrier.Typed
}

// spareTyped keeps operations that succeeded, for later messages.
var spareTyped = sync.Pool{New: func() any { return &typedOperation{} }}

// recycle keeps the operation for another message, if it can be reused. Err is the error that it
// returned.
func (o *typedOperation) recycle(err error) {
	if !o.isReusable(err) {
		return
	}
	o.operation, o.typed = operation{}, carrier.Typed{}
	o.content.recycle()
	spareTyped.Put(o)
}

// typed returns the operation for a message, or for a stream.
func (c *Client) typed(call *TypedCall) (*typedOperation, error) {
	o := spareTyped.Get().(*typedOperation)
	o.client, o.codec, o.failFast = c, &o.content, call.FailFast
	o.message.Target, o.message.Method = c.settings.Target, call.Path
	method, err := typed.FindMethod(call.Path)
	if err != nil {
		return nil, o.name(failure.Invalid("%v", err))
	}
	o.client = c.forService(method.Service)
	o.message.Target, o.message.Method = o.client.settings.Target, method.Name
	if o.client.settings.Target.Topic == "" {
		return nil, o.name(&rpc.Error{Kind: rpc.InvalidTarget, NotStarted: true, Message: fmt.Sprintf(
			"neither the client's target nor the options of the service %s name a topic", method.Service.Name)})
	}
	o.content.kind, o.content.method = &o.kind, method
	o.typed = carrier.Typed{
		Path: call.Path, Result: call.Result, ClientStreams: call.ClientStreams, ServerStreams: call.ServerStreams, Options: call.Options,
	}
	o.request.Typed = &o.typed
	return o, nil
}

// typedContent is the codec of messages of typed services.
type typedContent struct {
	method  *typed.Method
	kind    **kind        // of the operation
	message proto.Message // nil for a stream without any
	// wanted is the minimum version at which a stream opens, if it is of the same major version.
	wanted rpc.Version
	// needed is the version that the unchanged message needs. Least is the lowest version at which
	// the message can be sent.
	needed, least rpc.Version

	fitting sync.Mutex // guards what is fitted in variants
}

// recycle clears the message.
func (t *typedContent) recycle() {
	t.method, t.kind, t.message = nil, nil, nil
	t.wanted, t.needed, t.least = rpc.Version{}, rpc.Version{}, rpc.Version{}
}

// set takes the message.
func (t *typedContent) set(message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return notProtobuf(message)
	}
	t.message = m
	return nil
}

func notProtobuf(message any) error {
	return failure.Invalid("the message is a %T, which is not a protobuf message", message)
}

// variants implements codec.
func (t *typedContent) variants(context.Context) (preferred variant, others []variant, err error) {
	need := typed.Need{Version: t.method.Since, Floor: t.method.Since}
	if t.message != nil {
		need = t.method.Need(t.message)
	}
	if err := t.check(); err != nil {
		return variant{}, nil, err
	}
	t.needed, t.least = need.Version, need.Floor
	preferred.version = need.Version
	if need.Floor != need.Version {
		for _, v := range t.method.Steps(t.message)[1:] {
			others = append(others, variant{version: v})
		}
	}
	if (*t.kind).streams && t.wanted.Major == need.Version.Major {
		others = t.raise(&preferred, others)
	}
	preferred.target = preferred.version.String()
	for i := range others {
		others[i].target = others[i].version.String()
	}
	return preferred, others, nil
}

// check returns an error if the message cannot be encoded. For a stream or a fanout, a later check
// would come too late: the stream would have begun, or all servers would have missed a message.
func (t *typedContent) check() error {
	if k := *t.kind; t.message == nil || !k.streams && !k.toAll {
		return nil
	}
	if _, err := proto.Marshal(t.message); err != nil {
		return &rpc.Error{Kind: rpc.BadArguments, Cause: err, Message: "the message cannot be encoded: " + err.Error()}
	}
	return nil
}

// raise sets the lowest version of a stream, even if the first message needs less, because later
// messages may need it.
func (t *typedContent) raise(preferred *variant, others []variant) []variant {
	isLower := func(v variant) bool { return v.version.Compare(t.wanted) < 0 }
	if isLower(*preferred) {
		preferred.version, t.least = t.wanted, t.wanted
		return nil
	}
	kept := slices.DeleteFunc(slices.Clone(others), isLower)
	isWanted := func(v variant) bool { return v.version == t.wanted }
	if len(kept) < len(others) && !isWanted(*preferred) && !slices.ContainsFunc(kept, isWanted) {
		kept = append(kept, variant{version: t.wanted})
	}
	t.least = preferred.version
	if len(kept) > 0 {
		t.least = kept[len(kept)-1].version
	}
	return kept
}

// Blame implements codec.
func (t *typedContent) Blame() string {
	if t.message != nil {
		if e, ok := t.method.Blame(t.message, rpc.Version{Major: t.least.Major}); ok && e.Path != "" {
			return fmt.Sprintf("field %s of %s needs version %s", e.Path, t.message.ProtoReflect().Descriptor().FullName(), e.Since)
		}
	}
	return fmt.Sprintf("method %s needs version %s", t.method.Name, t.least)
}

// fill implements codec.
func (t *typedContent) fill(r *carrier.Request, v *variant) {
	r.Typed.Message = t.message
	if v.version.Compare(t.needed) < 0 {
		r.Typed.Message = t.fitted(v)
	}
	if (*t.kind).toAll {
		r.Typed.Result = &emptypb.Empty{} // as the options of the method require
	}
}

// fitted returns the message without the fields that are later than a variant.
func (t *typedContent) fitted(v *variant) proto.Message {
	t.fitting.Lock()
	defer t.fitting.Unlock()
	if v.fitted == nil {
		v.fitted = t.method.Fit(t.message, v.version)
	}
	return v.fitted
}

// decode implements codec: the carrier has read the result already.
func (t *typedContent) decode(context.Context, carrier.Reply, any) error { return nil }
