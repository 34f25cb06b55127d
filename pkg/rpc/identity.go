package rpc

// Proof says how a process proved its identity.
type Proof string

// The proofs.
const (
	// ProofNone is the absence of proof: anyone who can connect may be the peer.
	ProofNone Proof = ""
	// ProofTLS is a certificate that the handshake verified.
	ProofTLS Proof = "tls"
	// ProofToken is a bearer token that was verified.
	ProofToken Proof = "token"
	// ProofGateway is the word of a gateway that the server trusts.
	ProofGateway Proof = "gateway"
	// ProofUser is the user of the process at the other end of a Unix socket, as the kernel
	// reports it.
	ProofUser Proof = "user"
)

// Identity is what a process has proved about itself. What it merely claims, such as its name in
// [Message.Caller], is no part of it. The zero value is a process that proved nothing.
type Identity struct {
	// Proof says how the names were proved; empty if there are none.
	Proof Proof
	// Names are the names that were proved, the most specific first. A certificate proves its URIs,
	// such as "spiffe://cloud/host/7", then its DNS names, as "dns:host7.example". A token proves
	// "token:ISSUER/SUBJECT". A Unix socket proves "user:UID". They must not be changed.
	Names []string
}

// String returns the most specific name, "unproven" if there is none.
func (i Identity) String() string {
	if len(i.Names) == 0 {
		return "unproven"
	}
	return i.Names[0]
}

// Key returns what distinguishes the identity from others: its most specific name, empty for a
// process that proved nothing.
func (i Identity) Key() string {
	if len(i.Names) == 0 {
		return ""
	}
	return i.Names[0]
}
