// Package registry defines the interface of a registry, through which processes find each other.
// Programs can implement their own; see docs/write-a-registry.md for a guide.
//
// A registry is a driver, as in database/sql: its package calls [Register] with a scheme of
// transport URLs, and a program that imports the package can give such a URL to oslorpc.Open. Every
// program knows the schemes local://, gateway://, static:// and memory://. Package registry/consul
// adds HashiCorp Consul.
//
// An implementation must keep the promises in [Registry]. Speed is not one of them. An unreachable
// registry is not an error: the implementation reports [Update.Err] and goes on, and its users keep
// their last list. It may also implement [Checker], [Elsewhere], [Lapser], [Polled] or [Private],
// which describe special properties. Implementations can use [Watch], which calls notify functions
// as [Registry.Watch] requires. Every implementation in which processes can publish must pass the
// tests in package registrytest.
//
// An instance may get more fields in a later version of this module. To pass all of them on, encode
// an [rpc.Instance] as a whole, for example with encoding/json, and decode it into a new one.
package registry
