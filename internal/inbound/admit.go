package inbound

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/oslorpc/oslorpc/internal/limits"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// nestings is how many nested protobuf messages one level of a JSON value takes, including the
// messages around the value.
const nestings = 4

// IsBounded reports whether the RPC of ctx has limits.
func IsBounded(ctx context.Context) bool {
	c := From(ctx)
	return c != nil && c.guard != nil
}

// AdmitProtobuf returns an error if an encoded message of the RPC of ctx must not be decoded. For a
// large message it waits until there is room, and claims the room until the RPC ends.
func AdmitProtobuf(ctx context.Context, d protoreflect.MessageDescriptor, encoded []byte) error {
	c := From(ctx)
	if c == nil || c.guard == nil {
		return nil
	}
	l := &c.guard.budget.Limits
	if limits.IsDeepProtobuf(d, encoded, nestings*l.Depth) {
		return c.guard.tooDeep()
	}
	return c.guard.decode(ctx, limits.Protobuf(d, encoded, l.DecodedSize+1))
}

// AdmitJSON is AdmitProtobuf for the JSON text of a message that arrived with the RPC of by. It
// waits no longer than ctx. The claim of a cast lasts beyond the RPC, until ended is called. Ended
// is nil if there is no such claim.
func (c *Conn) AdmitJSON(ctx, by context.Context, text string, cast bool) (ended func(), err error) {
	if c == nil || c.guard == nil {
		return nil, nil
	}
	g := c.guard
	if limits.IsDeep(text, g.budget.Limits.Depth) {
		return nil, g.tooDeep()
	}
	n := limits.JSON(text)
	if err := g.fits(n); err != nil || n <= smallValues {
		return nil, err
	}
	id, ok := streamOf(by)
	if !ok {
		return nil, nil
	}
	claim, err := g.claimDecoded(ctx, id, n)
	if err != nil {
		return nil, err
	}
	if cast {
		return claim.Release, nil
	}
	g.setDecoded(id, claim)
	return nil, nil
}

func (g *guard) tooDeep() error {
	g.budget.Refused(limits.Depth, g.caller.String())
	return &rpc.Error{Kind: rpc.BadArguments, NotStarted: true, Message: fmt.Sprintf(
		"the message is nested more than %d levels deep: flatten it, or raise Depth with WithLimits at the server", g.budget.Limits.Depth)}
}

// smallValues is the estimated size, in bytes, up to which decoded messages need no claim.
const smallValues = 1 << 20

// decode claims n bytes for the decoded message of an RPC until the RPC ends. It waits for the
// claim.
func (g *guard) decode(ctx context.Context, n int) error {
	if err := g.fits(n); err != nil || n <= smallValues {
		return err
	}
	id, ok := streamOf(ctx)
	if !ok {
		return nil
	}
	claim, err := g.claimDecoded(ctx, id, n)
	if err != nil {
		return err
	}
	g.setDecoded(id, claim)
	return nil
}

// fits returns an error if n bytes exceed the limit for a decoded message.
func (g *guard) fits(n int) error {
	most := g.budget.Limits.DecodedSize
	if n <= most {
		return nil
	}
	g.budget.Refused(limits.DecodedSize, g.caller.String())
	return &rpc.Error{Kind: rpc.TooLarge, NotStarted: true, Message: fmt.Sprintf(
		"the message would take more than %d bytes when it is decoded: send fewer values at a time, or raise DecodedSize with WithLimits at the server", most)}
}

// claimDecoded claims n bytes, and waits for the claim. First it releases the stream's previous
// claim: a message must not wait for more room while it holds some.
func (g *guard) claimDecoded(ctx context.Context, id uint32, n int) (*limits.Claim, error) {
	g.setDecoded(id, nil)
	return g.acquireDecoded(ctx, ctx, n)
}

// acquireDecoded claims n bytes for a message that arrived with the RPC of by. It waits for the
// claim until ctx ends.
func (g *guard) acquireDecoded(ctx, by context.Context, n int) (*limits.Claim, error) {
	claim, err := g.budget.Decoded.Acquire(ctx, g.callerOf(by), n)
	if err != nil {
		return nil, &rpc.Error{Kind: rpc.Timeout, Cause: err, NotStarted: true, Message: "the server had no room to decode the message in time"}
	}
	return claim, nil
}

// setDecoded replaces the claim of a stream for its decoded message.
func (g *guard) setDecoded(id uint32, claim *limits.Claim) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if claim == nil && g.streams[id] == nil {
		return
	}
	s := g.account(id)
	if s == nil {
		claim.Release()
		return
	}
	s.decoded.Release()
	s.decoded = claim
}
