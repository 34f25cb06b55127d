package inbound

import (
	"context"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/oslorpc/oslorpc/internal/limits"
)

// The following functions are for messages that share a stream. By is the context of the stream.
// Each message counts as if it were an RPC. A claim ends when the returned function is called; the
// function is nil if there is no claim.

// OpenMessage notes the beginning of a message, as Tap and the guard do for an RPC. It returns a
// status if the caller may send no more. Otherwise the caller of OpenMessage must call
// CloseStreams(1) of the account at the end, unless the account is nil.
func OpenMessage(by Sender) (*limits.Caller, error) {
	account := by.Account()
	if account == nil {
		return nil, nil
	}
	switch {
	case account.IsCrowded():
		by.conn.guard.budget.Refused(limits.Streams, account.String())
		return nil, errStreams
	case account.IsFast():
		by.conn.guard.budget.Refused(limits.Rate, account.String())
		return nil, errRate
	}
	account.OpenStream()
	return account, nil
}

// ClaimProtobuf is [AdmitProtobuf] for a message that shares a stream. It waits no longer than ctx.
func ClaimProtobuf(ctx, by context.Context, d protoreflect.MessageDescriptor, encoded []byte) (ended func(), err error) {
	c := From(by)
	if c == nil || c.guard == nil {
		return nil, nil
	}
	g := c.guard
	l := &g.budget.Limits
	if limits.IsDeepProtobuf(d, encoded, nestings*l.Depth) {
		return nil, g.tooDeep()
	}
	n := limits.Protobuf(d, encoded, l.DecodedSize+1)
	if err := g.fits(n); err != nil || n <= smallValues {
		return nil, err
	}
	claim, err := g.acquireDecoded(ctx, by, n)
	if err != nil {
		return nil, err
	}
	return claim.Release, nil
}

// TryClaimAnswer is [ClaimAnswer] without waiting. It returns false if there is no room now.
func TryClaimAnswer(by context.Context, n int) (ended func(), ok bool) {
	c := From(by)
	if c == nil || c.guard == nil {
		return nil, true
	}
	claim, has := c.guard.budget.Answers.Claim(c.guard.callerOf(by), n, func() {})
	if !has {
		claim.Release()
		return nil, false
	}
	return claim.Release, true
}

// ClaimAnswer is [Answer] for a message that shares a stream. It waits no longer than ctx.
func ClaimAnswer(ctx, by context.Context, n int) (ended func(), err error) {
	c := From(by)
	if c == nil || c.guard == nil {
		return nil, nil
	}
	claim, err := c.guard.budget.Answers.Acquire(ctx, c.guard.callerOf(by), n)
	if err != nil {
		return nil, err
	}
	return claim.Release, nil
}
