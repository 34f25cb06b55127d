// Package rpc is the vocabulary of oslorpc: the [Target] that names the receiver, the [Version]
// rules by which clients and servers of different ages understand each other, and the [Error] type
// with its kinds.
//
// The package imports nothing else of this module and does no input or output. All its functions
// are pure. Most programs use it through package oslorpc, which re-exports it.
package rpc
