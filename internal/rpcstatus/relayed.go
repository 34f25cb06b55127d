package rpcstatus

import (
	"errors"

	"github.com/oslorpc/oslorpc/internal/refusal"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// offered is the cause of an error that a server sent with what it implements. So a gateway passes
// that on.
type offered struct{ list []*pb.Implementation }

// Error implements error.
func (o *offered) Error() string { return "the server lists what it implements" }

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
