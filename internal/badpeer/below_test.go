package badpeer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/credentials"
)

// below are the bad peers that fail before HTTP/2.
func below() []kind {
	says := func(words string) behavior {
		return behavior{raw: func(c net.Conn) {
			_, _ = io.WriteString(c, words)
			_, _ = io.Copy(io.Discard, c)
		}}
	}
	own, other := newCertificate("127.0.0.1"), newCertificate("127.0.0.1")
	elsewhere := newCertificate("192.0.2.1")
	return []kind{
		{name: "nothing listens", absent: true, outcome: unreachable},
		{name: "accepts, and reads nothing", behavior: behavior{raw: idle}, outcome: unreachable},
		{name: "reads, and says nothing", behavior: says(""), outcome: unreachable},
		{name: "closes at once", behavior: behavior{raw: func(net.Conn) {}}, outcome: unreachable},
		{name: "resets at once", behavior: behavior{raw: abort}, outcome: unreachable},
		{name: "closes after the preface", behavior: behavior{raw: func(c net.Conn) { readPreface(c) }}, outcome: unreachable},
		{name: "answers in HTTP/1.1", behavior: says("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), outcome: unreachable},
		{name: "is an SSH server", behavior: says("SSH-2.0-OpenSSH_9.6\r\n"), outcome: unreachable},
		{name: "is a mail server", behavior: says("220 mail ESMTP\r\n"), outcome: unreachable},
		{name: "sends garbage", behavior: says(string(bytes.Repeat([]byte{0xde, 0xad, 0, 0xff}, 64))), outcome: unreachable},
		{name: "sends garbage without end", behavior: behavior{raw: flood}, outcome: unreachable},
		{name: "sends one byte and no more", behavior: says("\x00"), outcome: unreachable},
		{name: "greets a byte at a time", behavior: behavior{raw: trickle}, outcome: unreachable},
		{name: "expects TLS", certificate: &own, outcome: untrusted},
		{name: "has another certificate", certificate: &other, security: trusting(own), outcome: untrusted},
		{name: "has a certificate for another name", certificate: &elsewhere, security: trusting(elsewhere, own), outcome: untrusted},
		{name: "speaks no TLS", security: trusting(own), outcome: untrusted},
		{name: "says nothing during the TLS handshake", security: trusting(own), behavior: says(""), outcome: unreachable},
		{name: "closes after the TLS handshake", certificate: &own, security: trusting(own), outcome: unreachable, behavior: behavior{
			raw: func(c net.Conn) { readPreface(c) },
		}},
		{name: "hangs under TLS", certificate: &own, security: trusting(own), outcome: late, unlike: quiet},
	}
}

func idle(c net.Conn) {
	for { // to notice the end without reading
		time.Sleep(10 * time.Millisecond)
		if c.SetReadDeadline(time.Time{}) != nil {
			return
		}
	}
}

func readPreface(c net.Conn) { _, _ = io.ReadFull(c, make([]byte, len(http2.ClientPreface))) }

func flood(c net.Conn) {
	garbage := bytes.Repeat([]byte{0xde, 0xad, 0xbe, 0xef}, 4<<10)
	for {
		if _, err := c.Write(garbage); err != nil {
			return
		}
	}
}

// trickle sends its settings without end, a byte at a time.
func trickle(c net.Conn) {
	settings := append([]byte{0, 0xff, 0xff, 4, 0, 0, 0, 0, 0}, make([]byte, 1<<10)...)
	for i := range settings {
		if _, err := c.Write(settings[i : i+1]); err != nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// newCertificate returns a self-signed certificate for an address.
func newCertificate(ip string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.ParseIP(ip)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// trusting returns credentials that trust the certificates, and that present the last one.
func trusting(certificates ...tls.Certificate) credentials.TransportCredentials {
	roots := x509.NewCertPool()
	for _, c := range certificates {
		roots.AddCert(c.Leaf)
	}
	return credentials.NewTLS(&tls.Config{RootCAs: roots, Certificates: certificates[len(certificates)-1:], MinVersion: tls.VersionTLS12})
}
