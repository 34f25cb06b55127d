// Package wire is the line protocol between the runner of `make interop` and its programs: JSON
// values, one on each line. A client program reads requests on its standard input and answers each
// one when it has the answer, in any order. A server program prints events. Both end when their
// standard input ends.
package wire

import (
	"encoding/json"
	"io"
	"sync"
)

// The verbs of requests. All but Cancel are deliveries; Cancel breaks off a call or a multicall.
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
	// ID is the reply's.
	ID int `json:"id"`
	// Do is one of the verbs.
	Do string `json:"do"`
	// Of is the ID of the request to break off, for Cancel.
	Of int `json:"of,omitempty"`
	// Topic, Server and Version are the target's; the latter two may be empty.
	Topic   string `json:"topic,omitempty"`
	Server  string `json:"server,omitempty"`
	Version string `json:"version,omitempty"`
	Method  string `json:"method,omitempty"`
	// Args are the keyword arguments. Fill adds the argument "text" of so many letters x.
	Args json.RawMessage `json:"args,omitempty"`
	Fill int             `json:"fill,omitempty"`
	// Context is the request context.
	Context json.RawMessage `json:"context,omitempty"`
	// Timeout and Monitor are in seconds; without Monitor, a call is not monitored.
	Timeout float64 `json:"timeout,omitempty"`
	Monitor float64 `json:"monitor,omitempty"`
	// Take breaks off a multicall after so many items, if it is not 0.
	Take int `json:"take,omitempty"`
}

// Reply answers a request: with a result or an error.
type Reply struct {
	ID int `json:"id"`
	// Result is the result of the call; the names of the servers that accepted a fanout, null if the
	// library does not tell; an object of results by server for a gather; the list of the items for
	// a multicall.
	Result json.RawMessage `json:"result"`
	Error  *Error          `json:"error,omitempty"`
}

// Error is how an operation failed, as the library of the client told it.
type Error struct {
	// Kind is the kind of the error by its name in docs/delivery.md, or the name of
	// oslo.messaging's exception class.
	Kind string `json:"kind"`
	// Safe is whether the library says that the message did not run.
	Safe bool `json:"safe"`
	// Server is the instance that the error names, if any.
	Server  string `json:"server,omitempty"`
	Message string `json:"message"`
	// Type, Text and Hops describe a remote error.
	Type string   `json:"type,omitempty"`
	Text string   `json:"text,omitempty"`
	Hops []string `json:"hops,omitempty"`
	// Class is the name of the registered class that the error arrived as, and Port its attribute.
	Class string `json:"class,omitempty"`
	Port  int    `json:"port,omitempty"`
}

// The events of servers: Ready once, when others can find it; Began, Ran and Canceled with the note
// of the message; Stopped at the end of a graceful stop.
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

// Writer writes values, one on each line. It is safe for concurrent use.
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
