// Package history has the records of a run of the laboratory: executions on servers, operations of
// clients with their outcomes, and faults. Each process appends to its own file, one JSON object
// per line and one write per line, so that the records of a killed process are not lost.
package history

import "time"

// Form is a form of delivery, with or without types.
type Form string

// These are the forms.
const (
	Call        Form = "call"
	Monitored   Form = "monitored"
	Cast        Form = "cast"
	Fanout      Form = "fanout"
	Gather      Form = "gather"
	Multicall   Form = "multicall"
	TypedCall   Form = "typed-call"
	TypedCast   Form = "typed-cast"
	TypedFanout Form = "typed-fanout"
	// TypedWatch is a server stream.
	TypedWatch Form = "typed-watch"
	// TypedImport is a client stream.
	TypedImport Form = "typed-import"
	// TypedSync is a stream in both directions.
	TypedSync Form = "typed-sync"
)

// Forms has all forms.
var Forms = []Form{
	Call, Monitored, Cast, Fanout, Gather, Multicall, TypedCall, TypedCast, TypedFanout, TypedWatch, TypedImport, TypedSync,
}

// Casts reports whether the sender learns only which servers accepted the message.
func (f Form) Casts() bool { return f == Cast || f == TypedCast || f == Fanout || f == TypedFanout }

// All reports whether the message is for every server.
func (f Form) All() bool { return f == Fanout || f == TypedFanout || f == Gather }

// Streams reports whether the message or its result has several items.
func (f Form) Streams() bool {
	return f == Multicall || f == TypedWatch || f == TypedImport || f == TypedSync
}

// Record is a line of the history. Exactly one field is set.
type Record struct {
	Up        *Up        `json:"up,omitempty"`
	Execution *Execution `json:"run,omitempty"`
	Stream    *Stream    `json:"stream,omitempty"`
	Operation *Operation `json:"op,omitempty"`
	Exit      *Exit      `json:"exit,omitempty"`
	Event     *Event     `json:"event,omitempty"`
	Excuse    *Excuse    `json:"excuse,omitempty"`
	Violation *Violation `json:"violation,omitempty"`
}

// Up says that a server is ready, and which instance it is.
type Up struct {
	Process  string    `json:"process"`
	Topic    string    `json:"topic"`
	Server   string    `json:"server"`
	Instance string    `json:"instance"`
	At       time.Time `json:"at"`
}

// Execution says that a method began to run a message.
type Execution struct {
	ID       string    `json:"id"`
	Process  string    `json:"process"`
	Server   string    `json:"server"`
	Instance string    `json:"instance"`
	Version  string    `json:"version,omitempty"`
	At       time.Time `json:"at"`
}

// Stream says how a stream ended, as the server saw it.
type Stream struct {
	ID       string `json:"id"`
	Instance string `json:"instance"`
	// Asked is how many items there should be. Items is how many the server sent or, if the client
	// sends, received.
	Asked int `json:"asked"`
	Items int `json:"items"`
	// Whole is true if the server saw no error. Otherwise Error is the error.
	Whole bool   `json:"whole"`
	Error string `json:"error,omitempty"`
}

// Operation is an operation of a client with its outcome.
type Operation struct {
	ID     string `json:"id"`
	Form   Form   `json:"form"`
	Client string `json:"client"`
	Topic  string `json:"topic"`
	// To is the name of the intended server, empty for any server and for all.
	To      string `json:"to,omitempty"`
	Version string `json:"version,omitempty"`
	// The operation ran from Begin to End, and had to end by Deadline.
	Begin    time.Time `json:"begin"`
	End      time.Time `json:"end"`
	Deadline time.Time `json:"deadline"`
	// Canceled is true if the client canceled the operation on purpose. Fails is true if the method
	// was told to fail.
	Canceled bool `json:"canceled,omitempty"`
	Fails    bool `json:"fails,omitempty"`
	// Hung is true if the operation had not ended long after its deadline, when the client stopped.
	Hung bool `json:"hung,omitempty"`

	OK bool `json:"ok,omitempty"`
	// Kind, Error and Safe describe the failure: the name of the kind, the text, and whether it
	// claimed to be safe to retry.
	Kind  string `json:"kind,omitempty"`
	Error string `json:"error,omitempty"`
	Safe  bool   `json:"safe,omitempty"`
	// Instance is the instance that the answer names as its sender.
	Instance string `json:"instance,omitempty"`
	// Asked is how many items there should be, and Items how many arrived in order. Gap is the
	// first one out of order.
	Asked int    `json:"asked,omitempty"`
	Items int    `json:"items,omitempty"`
	Gap   string `json:"gap,omitempty"`
	// Report has the outcome at each instance of an operation for all servers. Uncertain is true if
	// the report says that it may be incomplete.
	Report    []Outcome `json:"report,omitempty"`
	Uncertain bool      `json:"uncertain,omitempty"`
}

// Verdict is the outcome at an instance in a report.
type Verdict string

// These are the verdicts.
const (
	Accepted Verdict = "accepted"
	Replied  Verdict = "replied"
	Skipped  Verdict = "skipped"
	Failed   Verdict = "failed"
)

// Outcome is a report's entry for one instance.
type Outcome struct {
	Server   string  `json:"server"`
	Instance string  `json:"instance"`
	Verdict  Verdict `json:"verdict"`
	// By is the instance that a reply names as its sender.
	By    string `json:"by,omitempty"`
	Kind  string `json:"kind,omitempty"`
	Error string `json:"error,omitempty"`
	Safe  bool   `json:"safe,omitempty"`
}

// Exit is the leak report of a process at its end: resources that it did not have at its start.
type Exit struct {
	Process     string    `json:"process"`
	Goroutines  int       `json:"goroutines,omitempty"`
	Stacks      string    `json:"stacks,omitempty"`
	Descriptors []string  `json:"descriptors,omitempty"`
	Error       string    `json:"error,omitempty"`
	At          time.Time `json:"at"`
}

// These are the faults and events of processes.
const (
	Killed  = "killed"  // with SIGKILL
	Frozen  = "frozen"  // with SIGSTOP
	Thawed  = "thawed"  // with SIGCONT
	Stopped = "stopped" // told to stop with SIGTERM
	Forced  = "forced"  // a stop with a time limit: it may lose accepted messages
	Cut     = "cut"     // its network is faulty
	Mended  = "mended"  // its network is as before
	Ended   = "ended"   // the process is gone
	Noted   = "noted"   // anything else, for readers
)

// Event is a fault that the scenario injected, or an event of a process.
type Event struct {
	What    string    `json:"what"`
	Process string    `json:"process,omitempty"`
	Detail  string    `json:"detail,omitempty"`
	At      time.Time `json:"at"`
}

// Excuse says that operations may fail in a period, for a reason that the guarantees allow.
type Excuse struct {
	Why   string    `json:"why"`
	From  time.Time `json:"from"`
	Until time.Time `json:"until,omitzero"`
	// Forms and Kinds are the operations that may fail, and their kinds of errors. Empty means all.
	Forms []Form   `json:"forms,omitempty"`
	Kinds []string `json:"kinds,omitempty"`
}

// Violation is a broken guarantee.
type Violation struct {
	Promise string   `json:"promise"`
	Text    string   `json:"text"`
	IDs     []string `json:"ids,omitempty"`
}
