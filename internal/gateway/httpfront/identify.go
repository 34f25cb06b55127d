package httpfront

import (
	"net/http"
	"slices"

	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/internal/inbound"
	"github.com/oslorpc/oslorpc/internal/security"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Proofs returns a function for Config.Identify. It accepts the same proofs as gRPC: the client's
// certificate and, if tokens is not nil, a bearer token.
func Proofs(trust *security.Trust, tokens *inbound.Tokens) func(*http.Request) (rpc.Identity, error) {
	return func(r *http.Request) (rpc.Identity, error) {
		var proved rpc.Identity
		if r.TLS != nil {
			state, err := trust.Verified(r.TLS)
			if err != nil {
				return rpc.Identity{}, err
			}
			proved = identity.Certified(state)
		}
		if tokens == nil {
			return proved, nil
		}
		credentials := r.Header.Values(header.Authorization)
		if len(credentials) == 0 && proved.Proof != rpc.ProofNone {
			return proved, nil
		}
		name, err := tokens.Prove(r.Context(), r.RemoteAddr, credentials)
		if err != nil {
			return rpc.Identity{}, err
		}
		return rpc.Identity{Proof: rpc.ProofToken, Names: slices.Concat([]string{name}, proved.Names)}, nil
	}
}
