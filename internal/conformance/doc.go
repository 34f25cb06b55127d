// Package conformance contains the requirements that oslo.messaging's own tests check in its RPC
// layer, as tables. Each row is a case with an ID, which is part of the name of its test. Where
// oslorpc differs on purpose, the row expects the behaviour of oslorpc and gives the reason.
//
// `make conformance` runs the cases and lists the differences.
package conformance
