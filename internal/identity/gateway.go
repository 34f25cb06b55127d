package identity

import (
	"crypto/x509"
	"fmt"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// orGateway is a template that a trusted gateway passes in place of any server.
type orGateway struct {
	*Template

	trusts func(rpc.Identity) bool
}

// OrGateway returns the rule by which a process must have the name of the template, or be a gateway
// that trusts returns true for. Servers that are attached to a gateway are reached at its address,
// and the gateway checks their names.
func OrGateway(t *Template, trusts func(rpc.Identity) bool) Rule { return &orGateway{t, trusts} }

// Check implements [Rule].
func (o *orGateway) Check(s *Server, c *x509.Certificate) error {
	err := o.Template.Check(s, c)
	switch {
	case err == nil || c != nil && o.trusts(Of(c)):
		return nil
	case c == nil:
		return err
	default:
		return fmt.Errorf("%w, and is not a trusted gateway", err)
	}
}
