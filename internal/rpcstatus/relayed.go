package rpcstatus

import (
	"errors"

	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Relayed converts the error of a forwarded message so that a gateway can send it, since some kinds
// only occur at clients. If the method provably did not run, such an error becomes a refusal,
// because another gateway may reach the server. Otherwise it becomes OutcomeUnknown. Nil stays nil.
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
