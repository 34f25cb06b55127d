package rpc

// Proof says how a process proved its identity.
type Proof string

// The possible values of [Proof].
const (
	// ProofNone means that nothing was proved: the peer may be anyone who can connect.
	ProofNone Proof = ""
	// ProofTLS means that the TLS handshake verified the peer's certificate.
	ProofTLS Proof = "tls"
	// ProofToken means that a bearer token was verified.
	ProofToken Proof = "token"
	// ProofGateway means that a gateway that the server trusts vouches for the peer.
	ProofGateway Proof = "gateway"
	// ProofUser means that the kernel reported the user of the process at the other end of a Unix
	// socket.
	ProofUser Proof = "user"
)

// Identity is what a process has proved about itself. What a process merely claims, such as its
// name in [Message.Caller], is not part of its identity. The zero value means that the process
// proved nothing.
type Identity struct {
	// Proof says how the names were proved; empty if there are none.
	Proof Proof
	// Names are the proved names, the most specific first. A certificate proves its URIs, such as
	// "spiffe://cloud/host/7", then its DNS names, as "dns:host7.example". A token proves
	// "token:ISSUER/SUBJECT". A Unix socket proves "user:UID". Names must not be changed.
	Names []string
}

// String returns the most specific name, or "unproven" if there is none.
func (i Identity) String() string {
	if len(i.Names) == 0 {
		return "unproven"
	}
	return i.Names[0]
}

// Key returns a text that is the same for the same identity, for use as a map key: the most
// specific name. It is empty for a process that proved nothing.
func (i Identity) Key() string {
	if len(i.Names) == 0 {
		return ""
	}
	return i.Names[0]
}
