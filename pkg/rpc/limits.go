package rpc

import (
	"reflect"
	"time"
)

// Limits bound what a process accepts from its peers. A zero field stands for its default, so the
// zero value is all defaults. docs/limits.md says how each limit is counted and what a peer sees
// when it exceeds one.
type Limits struct {
	// MessageSize bounds, in bytes, the arguments with the request context of a message, and each
	// result. The default is 16 MiB: gRPC's own default of 4 MiB is too small for the results that
	// Neutron's agents request when they start. The limit applies both to what a program sends and
	// to what it receives.
	MessageSize int
	// DecodedSize bounds, in bytes, a message after a server has decoded it to values. The default
	// is 128 MiB. The server estimates this size from the text before it decodes anything.
	DecodedSize int
	// Depth is the maximum nesting of the arguments of a message: 1000 levels by default.
	Depth int
	// HeaderSize bounds, in bytes, the headers of a message. The default is 8 KiB, and the minimum
	// is 2 KiB. gRPC servers in other languages accept 8 KiB, and many accept no more. The request
	// context and the order key of a typed message travel in headers. So does the metadata that a
	// program adds to any message. HTTP/2 adds 32 bytes to the name and the value of each header,
	// and binary values grow by a third. 1 KiB is reserved for the headers of the library and of
	// gRPC. A message whose headers are larger fails with [TooLarge] and is not sent. Raise the
	// limit only if every server and every proxy on the way accepts as much. A server accepts 8 KiB
	// more than this, so that a client that sends slightly too much gets a clear error.
	HeaderSize int
	// Streams is how many RPCs one connection may have open at a server: 1000 by default. gRPC
	// clients hold further RPCs back until one ends.
	Streams int
	// Memory bounds, in bytes, the memory that peers can make a process use, including the garbage
	// collector's share: 512 MiB by default. A quarter is for requests, a quarter for answers that
	// are not read yet, and a quarter for decoded messages. Messages that do not fit wait.
	Memory int64
	// CallerShare is the part of the memory and of a server's queue that one caller may use, in
	// percent: 50 by default. 100 sets no limit. A caller is an identity, or a connection without
	// an identity; see [Identity].
	CallerShare int
	// CallerWorkers is the part of a server's workers that one caller may use, in percent: 75 by
	// default. 100 sets no limit.
	CallerWorkers int
	// CallerRate is how many messages per second one caller may send, averaged over two seconds.
	// The default is no limit. All connections from one address that proved no identity count
	// together.
	CallerRate int
	// CallerStreams is how many RPCs one caller may have open: 2000 by default. All connections
	// from one address that proved no identity count together.
	CallerStreams int
	// Connections is how many connections a process accepts: 65,536 by default, and at most three
	// quarters of the file descriptors that it may have.
	Connections int
	// CallerConnections is how many connections one caller may have: 1000 by default, and at most
	// half of Connections. All connections from one address that proved no identity count together.
	CallerConnections int
	// CallTime bounds how long a message whose sender waits may take, from its arrival to its end:
	// a call, a multicall or a typed stream, but no cast. At that time, or at an earlier deadline
	// of the sender, the context of the method ends. The default is no limit: without a deadline, a
	// sender may wait forever.
	CallTime time.Duration
	// Progress is how long a peer may make no progress while it leaves a message unfinished, or
	// leaves an answer unread that holds back others: 10 seconds by default.
	Progress time.Duration
	// SessionGrace is how long the methods of a session run on after its connection was lost: 10
	// seconds by default. If the client connects again in that time, it gets their results and
	// nothing is lost. Afterwards the contexts of the methods end. A caller that gives up ends them
	// at once. Results are kept for a minute after the loss, or for SessionGrace if that is longer.
	SessionGrace time.Duration
	// Handshake bounds the time in which a connection must complete TLS and send the first frames
	// of HTTP/2: 5 seconds by default.
	Handshake time.Duration
}

// WithDefaults returns the limits with the default in place of each zero field.
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

// Negative returns the name of a negative field, or an empty string if there is none.
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
