// Package registry defines what a registry must do, so that programs can bring their own. Processes
// find each other through a registry; see docs/write-a-registry.md for a guide.
//
// A registry is a driver, as in database/sql: its package calls [Register] with a scheme of
// transport URLs, and a program that imports the package can give such a URL to oslorpc.Open. Every
// program knows the schemes local://, gateway://, static:// and memory://. Package registry/consul
// adds HashiCorp Consul.
//
// An implementation promises what [Registry] says, and nothing about speed. An unreachable registry
// is not an error: the implementation reports [Update.Err] and goes on, and its users keep their
// last list. It may implement [Checker], [Elsewhere], [Lapser], [Polled] or [Private] to say more
// about itself. [Watch] keeps the promises to watchers. Package registrytest has the tests that
// every implementation must pass in which processes publish.
//
// An instance may get more fields in a later version of this module. To pass all of them on, encode
// an [rpc.Instance] as a whole, for example with encoding/json, and decode it into a new one.
package registry
