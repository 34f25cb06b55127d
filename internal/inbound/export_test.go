package inbound

// StreamOf is for tests of the gRPC that is linked.
var StreamOf = streamOf
