// Package interception tests the guarantees of interceptors. Each function of an interceptor sees
// every message once, whatever its delivery, with the same content at each point. A message that
// they refuse does not run, and its sender learns about the refusal. No RPC of the protocol
// bypasses interceptors. The package contains only tests.
package interception
