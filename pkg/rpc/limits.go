package rpc

import (
	"reflect"
	"time"
)

// Limits bound what a process takes from its peers. A field that is zero has its default, so the
// zero value is the defaults. docs/limits.md says how each is counted and what a peer sees.
type Limits struct {
	// MessageSize bounds, in bytes, the arguments with the request context of a message, and each
	// result: 16 MiB by default. gRPC's own 4 MiB are too small for what Neutron's agents ask for
	// at their start. It applies to what a program sends and to what it takes.
	MessageSize int
	// DecodedSize bounds, in bytes, a message as values at a server: 128 MiB by default. The server
	// estimates it from the text before it decodes anything.
	DecodedSize int
	// Depth is how deep the arguments of a message may be nested: 1000 levels by default.
	Depth int
	// HeaderSize bounds, in bytes, the headers of a message: 8 KiB by default, and 2 KiB at least.
	// gRPC servers in other languages accept 8 KiB, and many accept no more. The request context
	// and the order key of a typed message travel in headers, and so does the metadata that a
	// program adds to any message. HTTP/2 counts 32 bytes beside the name and the value of each
	// header, and binary values have four thirds of their size. 1 KiB is reserved for the headers
	// of the library and of gRPC. A message whose headers are larger fails with [TooLarge] and is
	// not sent. Raise it only if every server and every proxy on the way takes as much. A server
	// takes 8 KiB more than this, so that one that sends a little too much gets an error that says
	// so.
	HeaderSize int
	// Streams is how many RPCs one connection may have open at a server: 1000 by default. A client
	// of gRPC waits with more.
	Streams int
	// Memory bounds, in bytes, what peers make a process hold, with what the garbage collector
	// needs for it: 512 MiB by default. A quarter is for requests, a quarter for answers that are
	// not read yet, and a quarter for messages as values. Messages that do not fit wait.
	Memory int64
	// CallerShare is the part of the memory and of a server's queue that one caller may take, in
	// percent: 50 by default, and 100 for no share. A caller is an identity, or a connection that
	// proved none.
	CallerShare int
	// CallerWorkers is the part of a server's workers that one caller may take, in percent: 75 by
	// default, and 100 for no share.
	CallerWorkers int
	// CallerRate is how many messages one caller may send in a second, on average over two seconds:
	// as many as it likes by default. All connections from one address that proved no identity
	// count together.
	CallerRate int
	// CallerStreams is how many RPCs one caller may have open: 2000 by default. All connections
	// from one address that proved no identity count together.
	CallerStreams int
	// Connections is how many connections a process takes: 65,536 by default, and at most three
	// quarters of the descriptors that it may have.
	Connections int
	// CallerConnections is how many connections one caller may have: 1000 by default, and at most
	// half of all. All connections from one address that proved no identity count together.
	CallerConnections int
	// CallTime bounds how long a message may take for which its sender waits, from its arrival to
	// its end: a call, a multicall or a typed stream, but no cast. Then the context of the method
	// ends, as at a deadline of the sender, which counts if it is earlier. There is no bound by
	// default: a sender that gives no deadline may wait for ever.
	CallTime time.Duration
	// Progress is how long a peer may leave a message unfinished, or an answer unread that holds
	// back others, without any progress: 10 seconds by default.
	Progress time.Duration
	// SessionGrace is how long the methods of a session run on whose connection was lost: 10 seconds
	// by default. The client mostly connects again meanwhile, and gets their results; then nothing is
	// lost. After it the contexts of the methods end. A caller that gives up ends them at once.
	// Results are kept for a minute from the loss, or for this time if it is longer.
	SessionGrace time.Duration
	// Handshake bounds how long a connection takes to say who it is: TLS and the first frames of
	// HTTP/2. It is 5 seconds by default.
	Handshake time.Duration
}

// WithDefaults returns the limits with each field that is zero at its default.
func (l Limits) WithDefaults() Limits {
	setDefault(&l.MessageSize, 16<<20)
	setDefault(&l.DecodedSize, 128<<20)
	setDefault(&l.Depth, 1000)
	setDefault(&l.HeaderSize, 8<<10)
	setDefault(&l.Streams, 1000)
	setDefault(&l.Memory, 512<<20)
	setDefault(&l.CallerShare, 50)
	setDefault(&l.CallerWorkers, 75)
	setDefault(&l.CallerStreams, 2000)
	setDefault(&l.Connections, 1<<16)
	setDefault(&l.CallerConnections, 1000)
	setDefault(&l.Progress, 10*time.Second)
	setDefault(&l.SessionGrace, 10*time.Second)
	setDefault(&l.Handshake, 5*time.Second)
	return l
}

// Negative returns the name of a field that is negative; empty if none is.
func (l Limits) Negative() string {
	v := reflect.ValueOf(l)
	for i := range v.NumField() {
		if f := v.Field(i); f.CanInt() && f.Int() < 0 {
			return v.Type().Field(i).Name
		}
	}
	return ""
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
