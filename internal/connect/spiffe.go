package connect

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The path of a service's SPIFFE ID is /ns/NAMESPACE/dc/DATACENTER/svc/SERVICE, after /ap/PARTITION
// if that is not the default partition.
const (
	partDatacenter = "/dc/"
	partService    = "/svc/"
)

// authorities are parsed roots.
type authorities struct {
	domain string
	pool   *x509.CertPool
	list   []*x509.Certificate
}

// parse parses the roots.
func (r Roots) parse() (*authorities, error) {
	a := &authorities{domain: strings.ToLower(r.TrustDomain), pool: x509.NewCertPool()}
	for _, text := range r.Certificates {
		list, err := certificates(text)
		if err != nil {
			return nil, fmt.Errorf("an authority from the Consul agent: %w", err)
		}
		for _, c := range list {
			a.pool.AddCert(c)
		}
		a.list = append(a.list, list...)
	}
	if a.domain == "" || len(a.list) == 0 {
		return nil, errors.New("the Consul agent gave no authority: is Connect set up in the cluster?")
	}
	return a, nil
}

// same reports whether a and other are equal. It returns false if a is nil.
func (a *authorities) same(other *authorities) bool {
	return a != nil && a.domain == other.domain && slices.EqualFunc(a.list, other.list, (*x509.Certificate).Equal)
}

// verify is for trust.Material. It checks that an authority of the mesh signed the certificate of
// the other end, and that the certificate is for a service of the mesh. It refuses certificates of
// Consul agents, which the same authorities sign.
func (a *authorities) verify(sent []*x509.Certificate, usage x509.ExtKeyUsage) ([][]*x509.Certificate, error) {
	leaf := sent[0]
	options := x509.VerifyOptions{Roots: a.pool, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{usage}}
	for _, c := range sent[1:] {
		options.Intermediates.AddCert(c)
	}
	chains, err := leaf.Verify(options)
	if err != nil {
		return nil, err
	}
	if _, err := serviceID(leaf); err != nil {
		return nil, err
	}
	if domain := strings.ToLower(leaf.URIs[0].Host); domain != a.domain {
		return nil, fmt.Errorf("it is of the trust domain %s, and this mesh is %s", domain, a.domain)
	}
	return chains, nil
}

// serviceID returns the SPIFFE ID of the service that a certificate is for. It returns an error
// unless the certificate has exactly one SPIFFE ID and no other name that counts as an identity:
// see package identity.
func serviceID(c *x509.Certificate) (string, error) {
	switch {
	case len(c.URIs) != 1 || c.URIs[0].Scheme != "spiffe":
		return "", errors.New("its certificate has no SPIFFE ID, or several")
	case serviceIn(c) == "":
		return "", fmt.Errorf("its certificate is of %s, which is not a service", c.URIs[0])
	case len(c.DNSNames)+len(c.IPAddresses) > 0:
		return "", fmt.Errorf("its certificate has names beside %s, which Connect does not give", c.URIs[0])
	}
	return c.URIs[0].String(), nil
}

// serviceIn returns the name of the service in a certificate's SPIFFE ID, or an empty string if
// there is none.
func serviceIn(c *x509.Certificate) string {
	if len(c.URIs) == 0 {
		return ""
	}
	_, service, _ := strings.Cut(c.URIs[0].Path, partService)
	if strings.Contains(service, "/") {
		return ""
	}
	return service
}

// sibling returns the SPIFFE ID of another service of the mesh. It has the namespace of c's
// service, and the given data center, or the data center of c's service if that is empty.
func sibling(c *x509.Certificate, datacenter, service string) string {
	id, _, _ := strings.Cut(c.URIs[0].String(), partService)
	if before, _, found := strings.Cut(id, partDatacenter); found && datacenter != "" {
		id = before + partDatacenter + datacenter
	}
	return id + partService + service
}

// serial returns the serial number of a certificate in Consul's format.
func serial(c *x509.Certificate) string {
	var b bytes.Buffer
	for i, octet := range c.SerialNumber.Bytes() {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(hex.EncodeToString([]byte{octet}))
	}
	return b.String()
}

// parse parses the certificate and its key.
func (l Leaf) parse() (*tls.Certificate, error) {
	c, err := tls.X509KeyPair([]byte(l.Certificate), []byte(l.Key))
	if err != nil {
		return nil, err
	}
	if _, err := serviceID(c.Leaf); err != nil {
		return nil, err
	}
	return &c, nil
}

// certificates parses certificates in PEM.
func certificates(text string) (list []*x509.Certificate, err error) {
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, errors.New("it is not in PEM")
	}
	return list, nil
}
