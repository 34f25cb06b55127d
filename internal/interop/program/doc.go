// Package program has the Go programs of `make interop`. python/interop and typescript/interop have
// the programs of the other languages: what one serves, all do.
package program
