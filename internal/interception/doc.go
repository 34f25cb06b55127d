// Package interception tests what interceptors are promised: each of their functions sees every
// message once, whatever its delivery, with the same content at each point; what they refuse does
// not run, and its sender learns of it; no RPC of the contract gets past them. The package has no
// code of its own.
package interception
