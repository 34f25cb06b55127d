// Package program contains the Go programs of `make interop`. The programs of the other languages
// are in python/interop and typescript/interop. All servers have the same methods.
package program
