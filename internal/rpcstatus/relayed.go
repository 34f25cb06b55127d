package rpcstatus

import (
	"errors"

	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Relayed returns the error of a message that was forwarded as a server can send it: some kinds
// only clients find out. What provably did not run is refused, since another gateway may reach the
// server. Nil stays nil.
func Relayed(err error) error {
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok {
		return err
	}
	if _, sendable := formOf(e); sendable {
		return err
	}
	relayed := *e
	if relayed.NotStarted {
		relayed.Kind, relayed.Cause = rpc.Refused, errors.Join(refusal.Declined, e.Cause)
	} else {
		relayed.Kind = rpc.OutcomeUnknown
	}
	return &relayed
}
