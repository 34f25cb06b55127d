package workload

import (
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

// verifier verifies certificates against the authorities of the trust domain that they name. It is
// immutable.
type verifier struct {
	own     spiffeid.TrustDomain
	bundles *x509bundle.Set
}

// verify is the function of [trust.Material]. It ignores the usage, because SPIFFE certificates are
// valid for clients and servers.
func (v *verifier) verify(sent []*x509.Certificate, _ x509.ExtKeyUsage) ([][]*x509.Certificate, error) {
	leaf := sent[0]
	id, err := x509svid.IDFromCert(leaf)
	if err != nil {
		return nil, fmt.Errorf("it has no SPIFFE ID: %w", err)
	}
	d := id.TrustDomain()
	switch {
	case !v.bundles.Has(d):
		return nil, fmt.Errorf("%s is of the trust domain %s, and this program trusts %s: to trust the other domain, add it to this program "+
			"(workload.Config.Domains, or ?trust-domain= in the address of the Workload API)", id, d.Name(), v.names())
	case d != v.own && len(leaf.DNSNames)+len(leaf.IPAddresses) > 0: // its authorities could certify the names of ours
		return nil, fmt.Errorf("%s is in another trust domain and has names beside its SPIFFE ID: only certificates of this program's own domain, %s, may have such names", id, v.own.Name())
	}
	_, chains, err := x509svid.Verify(sent, v.bundles)
	return chains, err
}

// names returns the names of the trusted domains as text.
func (v *verifier) names() string {
	list := []string{v.own.Name()}
	for _, b := range v.bundles.Bundles() {
		if d := b.TrustDomain(); d != v.own {
			list = append(list, d.Name())
		}
	}
	return strings.Join(list, ", ")
}
