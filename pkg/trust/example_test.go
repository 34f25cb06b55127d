package trust_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// Each program has a certificate of the fleet's authority. Servers and clients verify each other.
func ExampleConfig() {
	dir := certificates("spiffe://example.org/exchange/openstack/topic/disks/server/node1")
	defer os.RemoveAll(dir)
	t, err := startDisks(trust.Config{
		CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "disks"})
	fmt.Println(oslorpc.Call[int](context.Background(), client, "free", nil))
	// Output: 100 <nil>
}

// With Identity, a client sends a message only to a process whose certificate has the name of the
// server that is meant. The certificate here is for node1, and the server calls itself node1.
func ExampleConfig_identity() {
	dir := certificates("spiffe://example.org/exchange/openstack/topic/disks/server/node1")
	defer os.RemoveAll(dir)
	config := trust.Config{
		CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"),
		Identity: "spiffe://example.org/exchange/{exchange}/topic/{topic}/server/{server}",
	}
	t, err := startDisks(config)
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	client := t.Client(oslorpc.Target{Topic: "disks"})
	fmt.Println(oslorpc.Call[int](context.Background(), client, "free", nil))

	config.Identity = "spiffe://example.org/team/storage/{server}" // which the certificate does not have
	other, err := startDisks(config)
	if err != nil {
		log.Fatal(err)
	}
	defer other.Close()
	_, err = oslorpc.Call[int](context.Background(), other.Client(oslorpc.Target{Topic: "disks"}), "free", nil)
	fmt.Println(errors.Is(err, oslorpc.Untrusted), oslorpc.SafeToRetry(err))
	// Output:
	// 100 <nil>
	// true true
}

// A policy lists what is allowed. It denies everything else before any of it runs.
func ExamplePolicy() {
	t, err := startDisks(trust.Config{Policy: &trust.Policy{Rules: []trust.Rule{
		{Name: "everyone may ask", From: []string{"anyone"}, Topic: []string{"disks"}, Method: []string{"free"}},
	}}})
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "disks"})
	fmt.Println(oslorpc.Call[int](context.Background(), client, "free", nil))
	_, err = oslorpc.Call[any](context.Background(), client, "erase", nil)
	fmt.Println(errors.Is(err, oslorpc.AccessDenied), oslorpc.SafeToRetry(err))
	// Output:
	// 100 <nil>
	// true true
}

// startDisks returns a transport with a server on the topic disks.
func startDisks(config trust.Config) (*oslorpc.Transport, error) {
	t, err := oslorpc.Open("memory://example-trust", oslorpc.WithTrust(config), oslorpc.WithStopGrace(0))
	if err != nil {
		return nil, err
	}
	server := t.Server(oslorpc.Target{Topic: "disks", Server: "node1"})
	server.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"free":  oslorpc.Func(func(context.Context, oslorpc.NoArgs) (int, error) { return 100, nil }),
		"erase": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (any, error) { return nil, nil }),
	}})
	if err := server.Start(context.Background()); err != nil {
		_ = t.Close()
		return nil, err
	}
	return t, nil
}

// certificates returns a directory with a new authority's ca.pem, and with cert.pem and key.pem of
// a program on this host that has the name.
func certificates(name string) string {
	dir, err := os.MkdirTemp("", "trust")
	if err != nil {
		log.Fatal(err)
	}
	id, err := url.Parse(name)
	if err != nil {
		log.Fatal(err)
	}
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	program := &x509.Certificate{
		SerialNumber: big.NewInt(2), URIs: []*url.URL{id}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	caKey, key := newKey(), newKey()
	for _, c := range []*x509.Certificate{authority, program} {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	}
	write(dir, "ca.pem", "CERTIFICATE", sign(authority, authority, caKey, caKey))
	write(dir, "cert.pem", "CERTIFICATE", sign(program, authority, key, caKey))
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		log.Fatal(err)
	}
	write(dir, "key.pem", "PRIVATE KEY", encoded)
	return dir
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	return key
}

func sign(certificate, authority *x509.Certificate, key, by *ecdsa.PrivateKey) []byte {
	der, err := x509.CreateCertificate(rand.Reader, certificate, authority, key.Public(), by)
	if err != nil {
		log.Fatal(err)
	}
	return der
}

func write(dir, name, kind string, content []byte) {
	err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600)
	if err != nil {
		log.Fatal(err)
	}
}
