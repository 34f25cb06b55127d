// Package intruder tests what a compromised agent of a fleet can do. The agent has a valid
// certificate, the programs of this library, and clients that speak gRPC and HTTP/2 directly. The
// fleet has certificates, an identity template and a policy.
//
// No attack may succeed, and each must leave a trace that names the attacker: by its identity in
// the audit log, or by its address in the log of failed handshakes. Package attack tests how many
// resources of a process peers can use up.
package intruder
