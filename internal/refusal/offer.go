package refusal

import (
	"errors"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Offer is the cause of an error of kind rpc.UnsupportedVersion. It lists the interfaces that the
// server implements.
type Offer struct {
	Implemented []rpc.Implementation
}

// Error implements error.
func (*Offer) Error() string { return "other versions are implemented" }

// Offered returns the interfaces in the [Offer] of an error, or nil if it has none.
func Offered(err error) []rpc.Implementation {
	if o, ok := errors.AsType[*Offer](err); ok {
		return o.Implemented
	}
	return nil
}
