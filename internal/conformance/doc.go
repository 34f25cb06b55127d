// Package conformance has what oslo.messaging's own tests ask of its RPC layer, as tables: each row
// is a case with an id, which is in the name of its test. Where oslorpc differs on purpose, the row
// expects what oslorpc does and says why.
//
// `make conformance` runs them and lists the differences.
package conformance
