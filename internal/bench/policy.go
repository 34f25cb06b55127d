package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	neturl "net/url"
	"time"

	"github.com/oslorpc/oslorpc/internal/bench/compare"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// rules is how many rules a policy has. The last rule allows the message.
const rules = 100

// versusTLS prepares an operation with certificates on both sides and a policy, and the same
// operation with certificates only.
func versusTLS(o operation, callers int) func(context.Context) (a, b compare.Workload, cleanup func() error, err error) {
	return func(ctx context.Context) (a, b compare.Workload, cleanup func() error, err error) {
		var opened closers
		defer func() {
			if err != nil {
				_ = opened.close() // the other error counts
			}
		}()
		config, err := mutual()
		if err != nil {
			return a, b, nil, err
		}
		side := func(url string, p *trust.Policy) (compare.Workload, error) {
			server, err := oslorpc.Open(url, oslorpc.WithStopGrace(0), oslorpc.WithTrust(trust.Config{TLS: config, Policy: p}))
			if err != nil {
				return compare.Workload{}, err
			}
			opened = append(opened, server.Close)
			if err := serve(ctx, server, "server", o); err != nil {
				return compare.Workload{}, err
			}
			t, err := oslorpc.Open(url, oslorpc.WithTrust(trust.Config{TLS: config}))
			if err != nil {
				return compare.Workload{}, err
			}
			opened = append(opened, t.Close)
			client := newClient(t)
			return compare.Workload{Do: func() error { return o.do(ctx, client) }, Callers: callers, Ops: 1}, nil
		}
		if a, err = side("memory://bench-policy", policy()); err != nil {
			return a, b, nil, err
		}
		if b, err = side("memory://bench-tls", nil); err != nil {
			return a, b, nil, err
		}
		return a, b, opened.close, nil
	}
}

// policy returns a policy whose rules differ in the caller and the method.
func policy() *trust.Policy {
	p := &trust.Policy{}
	for i := range rules {
		p.Rules = append(p.Rules, trust.Rule{
			From: []string{fmt.Sprintf("spiffe://bench/host/%d/*", i)}, Exchange: []string{rpc.DefaultExchange}, Topic: []string{topic},
			Method: []string{fmt.Sprintf("get_%d_*", i), method}, Delivery: []rpc.Delivery{rpc.DeliveryCall, rpc.DeliveryInspect},
		})
	}
	return p
}

// mutual returns a TLS configuration with one certificate for both sides. The certificate is its
// own authority.
func mutual() (*tls.Config, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		URIs:        []*neturl.URL{{Scheme: "spiffe", Host: "bench", Path: fmt.Sprintf("/host/%d/agent", rules-1)}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}},
		RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}, nil
}
