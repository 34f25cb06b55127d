// Package registry says what a registry must do, so that programs can bring one of their own.
// Processes learn of each other from it; see docs/write-a-registry.md for a guide.
//
// A registry is a driver, as in database/sql: its package calls [Register] with a scheme
// of transport URLs, and a program that imports the package can give such a URL to oslorpc.Open.
// The schemes local://, static:// and memory:// are known to every program. Package
// registry/consul has the one for HashiCorp Consul.
//
// An implementation promises what [Registry] says, and nothing about speed. What it cannot know is
// no error: a registry that is away reports [Update.Err] and goes on, and its users keep what they
// know. It may say more of itself by implementing [Checker], [Elsewhere], [Lapser], [Polled] or
// [Private]. [Watch] keeps the promises to watchers. Package registrytest has the tests that every
// implementation must pass.
//
// An instance may get more fields with a later version of this module. To pass all of them on,
// encode an [rpc.Instance] whole, such as with encoding/json, and decode it into a new one.
package registry
