package identity

import "crypto/x509"

// Rule says which certificate a server must have. It is safe for concurrent use.
type Rule interface {
	// Check returns an error unless the certificate, which may be nil, proves that its owner is the
	// server. The error is the second half of a sentence that begins with the name of the server.
	Check(s *Server, c *x509.Certificate) error
}

// Naming is a rule with which a process has a certificate for each of its topics. A connection
// proves only one of them, so a client has a separate connection for each topic.
type Naming interface {
	Rule
	// ServerName returns the name by which a client asks for the certificate of a topic.
	ServerName(exchange, topic string) string
}
