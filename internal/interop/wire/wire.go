// Package wire is the line protocol between the runner of `make interop` and its programs. Each
// line is a JSON value. A client program reads requests from standard input and writes a reply to
// each as soon as it has one, in any order. A server program prints events. Both end when their
// standard input ends.
package wire

import (
	"encoding/json"
	"io"
	"sync"
)

// These are the verbs of requests. All except Cancel are deliveries. Cancel cancels a call or a
// multicall.
const (
	Call      = "call"
	Cast      = "cast"
	Fanout    = "fanout"
	Gather    = "gather"
	Multicall = "multicall"
	Cancel    = "cancel"
)

// Request asks a client program to do something.
type Request struct {
	// ID identifies the request in the reply.
	ID int `json:"id"`
	// Do is one of the verbs.
	Do string `json:"do"`
	// Of is the ID of the request that Cancel cancels.
	Of int `json:"of,omitempty"`
	// Topic, Server and Version are the target. Server and Version may be empty.
	Topic   string `json:"topic,omitempty"`
	Server  string `json:"server,omitempty"`
	Version string `json:"version,omitempty"`
	Method  string `json:"method,omitempty"`
	// Args are the keyword arguments. If Fill is not 0, the client adds the argument "text", which
	// consists of Fill letters x.
	Args json.RawMessage `json:"args,omitempty"`
	Fill int             `json:"fill,omitempty"`
	// Context is the request context.
	Context json.RawMessage `json:"context,omitempty"`
	// Timeout and Monitor are in seconds. A call without Monitor is not monitored.
	Timeout float64 `json:"timeout,omitempty"`
	Monitor float64 `json:"monitor,omitempty"`
	// Take ends a multicall after this many items, if it is not 0.
	Take int `json:"take,omitempty"`
}

// Reply answers a request with a result or an error.
type Reply struct {
	ID int `json:"id"`
	// Result is the result of a call. For a fanout, it is the names of the servers that accepted
	// the message, or null if the library does not tell. For a gather, it is an object of results
	// by server. For a multicall, it is the list of the items.
	Result json.RawMessage `json:"result"`
	Error  *Error          `json:"error,omitempty"`
}

// Error describes how an operation failed, as the client's library reports it.
type Error struct {
	// Kind is the name of the error's kind in docs/delivery.md, or the name of oslo.messaging's
	// exception class.
	Kind string `json:"kind"`
	// Safe is true if the library says that the message did not run.
	Safe bool `json:"safe"`
	// Server is the instance that the error names, or empty.
	Server  string `json:"server,omitempty"`
	Message string `json:"message"`
	// Type, Text and Hops describe a remote error.
	Type string   `json:"type,omitempty"`
	Text string   `json:"text,omitempty"`
	Hops []string `json:"hops,omitempty"`
	// Class is the name of the registered class of the error, and Port is the attribute of this
	// class.
	Class string `json:"class,omitempty"`
	Port  int    `json:"port,omitempty"`
}

// These are the events of servers. Ready is reported once, when others can find the server. Began,
// Ran and Canceled have the note of the message. Stopped is reported at the end of a graceful stop.
const (
	Ready    = "ready"
	Began    = "began"
	Ran      = "ran"
	Canceled = "canceled"
	Stopped  = "stopped"
)

// Event is what a server program reports.
type Event struct {
	Event string `json:"event"`
	Note  string `json:"note,omitempty"`
}

// Writer writes values as one JSON value a line. It is safe for concurrent use.
type Writer struct {
	mu  sync.Mutex
	out *json.Encoder
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) *Writer {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	return &Writer{out: out}
}

// Write writes a value.
func (w *Writer) Write(value any) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Encode(value)
}
