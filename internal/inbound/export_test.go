package inbound

// StreamOf is for tests of the linked version of gRPC.
var StreamOf = streamOf
