package refusal

import (
	"errors"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Offer is the cause of an error of kind rpc.UnsupportedVersion: what is implemented instead.
type Offer struct {
	Implemented []rpc.Implementation
}

// Error implements error.
func (*Offer) Error() string { return "other versions are implemented" }

// Offered returns what an error says is implemented; nil if it does not say.
func Offered(err error) []rpc.Implementation {
	if o, ok := errors.AsType[*Offer](err); ok {
		return o.Implemented
	}
	return nil
}
