// Package identity reads which identity each end of a connection proves.
package identity

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Certified returns the identity that a handshake proved: the names in a verified certificate. An
// unverified certificate proves nothing.
func Certified(state *tls.ConnectionState) rpc.Identity {
	if len(state.VerifiedChains) == 0 || len(state.VerifiedChains[0]) == 0 {
		return rpc.Identity{}
	}
	return Of(state.VerifiedChains[0][0])
}

// Of returns the identity that a certificate proves once it is verified.
func Of(c *x509.Certificate) rpc.Identity {
	names := namesOf(c)
	if len(names) == 0 {
		return rpc.Identity{}
	}
	return rpc.Identity{Proof: rpc.ProofTLS, Names: names}
}

// kinds are prefixes of names that no URI may prove. An authority that checks DNS names may certify
// any URI, even dns:db.example.
var kinds = map[string]bool{"dns": true, "ip": true, "user": true, "token": true}

// namesOf returns the names in a certificate: URIs, then DNS names, then IP addresses. The common
// name does not count; RFC 6125 retired it. A URI that looks like a name of another kind is left
// out.
func namesOf(c *x509.Certificate) []string {
	names := make([]string, 0, len(c.URIs)+len(c.DNSNames)+len(c.IPAddresses))
	for _, u := range c.URIs {
		if !kinds[u.Scheme] {
			names = append(names, u.String())
		}
	}
	for _, name := range c.DNSNames {
		names = append(names, "dns:"+name)
	}
	for _, ip := range c.IPAddresses {
		names = append(names, "ip:"+ip.String())
	}
	return names
}
