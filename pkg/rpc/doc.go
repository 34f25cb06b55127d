// Package rpc is the vocabulary of oslorpc: the [Target] that says who is meant, the [Version]
// rules by which clients and servers of different ages understand each other, and the [Error]
// family.
//
// It is a leaf: it imports nothing else of this module, does no input or output, and all of its
// functions are pure. Most programs use it through package oslorpc, which re-exports it.
package rpc
