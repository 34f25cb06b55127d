package oslorpc

import (
	"context"
	"fmt"
	"strings"

	"github.com/oslorpc/oslorpc/internal/payload"
	"github.com/oslorpc/oslorpc/internal/route"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Variant is one form of a message: the keyword arguments as they are at a version.
type Variant struct {
	// Version is the version that the message asks for in this form; [None] counts as 1.0.
	Version string
	// Args are the keyword arguments, as [Call] takes them.
	Args any
}

// At returns the form that a message has at a version; [None] counts as 1.0.
func At(version string, args any) Variant { return Variant{Version: version, Args: args} }

// Variants are the forms in which a message may be sent, the preferred one first. Given as the args of [Call], [Client.Cast],
// [Client.Fanout], [Multicall] or [Gather], they take the place of upstream's ladder of can_send_version questions:
//
//	oslorpc.Call[string](ctx, c, "resize", oslorpc.Variants{
//		oslorpc.At("1.2", resize12{Disk: d, Flavor: f}),
//		oslorpc.At("1.1", resize11{Disk: d}),
//	})
//
// The variant and the server are chosen together, from one state of the fleet, so that the fleet cannot change between a question and
// the message: the first variant that some server can serve goes to one that can. In a fanout and a gather, each server gets the
// first variant that it can serve. Variants that a fixed cap forbids are left out. With the cap [AutoCap], those that every server can serve
// come first, so that all callers use the same one until the last old server has left; of the others, which are sent only if nobody serves
// those, the least demanding first.
//
// The version of the client's target does not matter then. All variants are checked and encoded before the first is sent, so that
// a mistake in one shows at once and not in the middle of an upgrade.
type Variants []Variant

// variant is a form of a message, ready to be sent.
type variant struct {
	query  route.Query
	target *pb.Target
	kwargs *pb.Payload
}

// variants encodes the forms of a message that the cap allows, and the request context, empty if there is none.
func (s *settings) variants(ctx context.Context, method string, args any) (first variant, lesser []variant, requestContext string, err error) {
	list, several := args.(Variants)
	if !several {
		if !s.cap.Allows(s.query.Version) {
			return variant{}, nil, "", s.beyondCap(s.query.Version)
		}
		kwargs, requestContext, err := s.write(ctx, args)
		return variant{s.queryFor(method, s.query.Version), s.wire, payload.JSON(kwargs)}, nil, requestContext, err
	}
	var allowed []variant
	var versions []rpc.Version
	for _, v := range list {
		form, context, err := s.variant(ctx, method, v)
		if err != nil {
			return variant{}, nil, "", err
		}
		requestContext = context
		versions = append(versions, form.query.Version)
		if s.cap.Allows(form.query.Version) {
			allowed = append(allowed, form)
		}
	}
	switch {
	case len(list) == 0:
		return variant{}, nil, "", invalidUse("a message needs at least one variant")
	case len(allowed) == 0:
		return variant{}, nil, "", s.beyondCap(versions...)
	}
	return allowed[0], allowed[1:], requestContext, nil
}

func (s *settings) variant(ctx context.Context, method string, v Variant) (form variant, requestContext string, err error) {
	version, err := rpc.VersionOrDefault(v.Version)
	if err != nil {
		return variant{}, "", invalidUse("variant: %v", err)
	}
	kwargs, requestContext, err := s.write(ctx, v.Args)
	if err != nil {
		return variant{}, "", fmt.Errorf("variant %s: %w", version, err)
	}
	target := &pb.Target{
		Exchange: s.wire.Exchange, Topic: s.wire.Topic, Namespace: s.wire.Namespace, Version: given(v.Version), Server: s.wire.Server,
	}
	return variant{s.queryFor(method, version), target, payload.JSON(kwargs)}, requestContext, nil
}

// beyondCap is the error for a message that the cap forbids in all its variants.
func (s *settings) beyondCap(versions ...rpc.Version) error {
	words := make([]string, len(versions))
	for i, v := range versions {
		words[i] = v.String()
	}
	return &Error{Kind: VersionCapExceeded, Message: fmt.Sprintf(
		"version %s is not within the cap %s: it must have the same major version and no later minor one", strings.Join(words, " or "), s.cap)}
}

// form returns a variant of the message.
func (m *outgoing) form(i int) *variant {
	if i == 0 {
		return &m.first
	}
	return &m.lesser[i-1]
}

// toEverybody takes the server's name out of the message: each copy is addressed by its instance.
func (m *outgoing) toEverybody() {
	for i := range 1 + len(m.lesser) {
		v := m.form(i)
		v.target = &pb.Target{
			Exchange: v.target.Exchange, Topic: v.target.Topic, Namespace: v.target.Namespace, Version: v.target.Version,
		}
	}
}
