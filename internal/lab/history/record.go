// Package history keeps what happened in a run of the laboratory: what servers executed, what
// clients asked for and were told, and what was done to them. Each process appends to a file of
// its own, a JSON object a line and a line a write, so that what a killed process has done is
// there.
package history

import "time"

// Form is how a message is delivered.
type Form string

// The forms.
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
	// TypedWatch is a stream that the server sends.
	TypedWatch Form = "typed-watch"
	// TypedImport is a stream that the client sends.
	TypedImport Form = "typed-import"
	// TypedSync is a stream that both send.
	TypedSync Form = "typed-sync"
)

// Forms are all of them.
var Forms = []Form{
	Call, Monitored, Cast, Fanout, Gather, Multicall, TypedCall, TypedCast, TypedFanout, TypedWatch, TypedImport, TypedSync,
}

// Casts reports whether the sender is told of acceptance only.
func (f Form) Casts() bool { return f == Cast || f == TypedCast || f == Fanout || f == TypedFanout }

// All reports whether the message is for every server.
func (f Form) All() bool { return f == Fanout || f == TypedFanout || f == Gather }

// Streams reports whether the message or its result has several items.
func (f Form) Streams() bool {
	return f == Multicall || f == TypedWatch || f == TypedImport || f == TypedSync
}

// Record is a line: exactly one of the fields is set.
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

// Stream says how the server's end of a stream came to its end.
type Stream struct {
	ID       string `json:"id"`
	Instance string `json:"instance"`
	// Asked is how many items there should be, Items how many the server sent, or received if the
	// client sends.
	Asked int `json:"asked"`
	Items int `json:"items"`
	// Whole: the server saw no error. Otherwise Error is what it saw.
	Whole bool   `json:"whole"`
	Error string `json:"error,omitempty"`
}

// Operation is what a client asked for, and what it was told.
type Operation struct {
	ID     string `json:"id"`
	Form   Form   `json:"form"`
	Client string `json:"client"`
	Topic  string `json:"topic"`
	// To is the server meant; empty for any, or for all.
	To      string `json:"to,omitempty"`
	Version string `json:"version,omitempty"`
	// It ran from Begin to End, and had to end by Deadline.
	Begin    time.Time `json:"begin"`
	End      time.Time `json:"end"`
	Deadline time.Time `json:"deadline"`
	// Canceled: the client gave it up on purpose. Fails: the method was told to fail.
	Canceled bool `json:"canceled,omitempty"`
	Fails    bool `json:"fails,omitempty"`
	// Hung: it had not ended long after its deadline, when the client stopped.
	Hung bool `json:"hung,omitempty"`

	OK bool `json:"ok,omitempty"`
	// Kind, Error and Safe are of its failure: the name of the kind, the text, and whether it was
	// said to be safe to retry.
	Kind  string `json:"kind,omitempty"`
	Error string `json:"error,omitempty"`
	Safe  bool   `json:"safe,omitempty"`
	// Instance is the one that the answer says it is from.
	Instance string `json:"instance,omitempty"`
	// Asked is how many items there should be, Items how many arrived in order; Gap is the first
	// that was out of order.
	Asked int    `json:"asked,omitempty"`
	Items int    `json:"items,omitempty"`
	Gap   string `json:"gap,omitempty"`
	// Report is what came of it at each instance, if it was for all. Uncertain: it says itself that
	// some may be missing.
	Report    []Outcome `json:"report,omitempty"`
	Uncertain bool      `json:"uncertain,omitempty"`
}

// Verdict is what a report says of an instance.
type Verdict string

// The verdicts.
const (
	Accepted Verdict = "accepted"
	Replied  Verdict = "replied"
	Skipped  Verdict = "skipped"
	Failed   Verdict = "failed"
)

// Outcome is what a report says of one instance.
type Outcome struct {
	Server   string  `json:"server"`
	Instance string  `json:"instance"`
	Verdict  Verdict `json:"verdict"`
	// By is the instance that a reply says it is from.
	By    string `json:"by,omitempty"`
	Kind  string `json:"kind,omitempty"`
	Error string `json:"error,omitempty"`
	Safe  bool   `json:"safe,omitempty"`
}

// Exit is what a process says of itself at its end: what it has left of what it did not have
// before it began.
type Exit struct {
	Process     string    `json:"process"`
	Goroutines  int       `json:"goroutines,omitempty"`
	Stacks      string    `json:"stacks,omitempty"`
	Descriptors []string  `json:"descriptors,omitempty"`
	Error       string    `json:"error,omitempty"`
	At          time.Time `json:"at"`
}

// What is done to processes.
const (
	Killed  = "killed"  // with SIGKILL
	Frozen  = "frozen"  // with SIGSTOP
	Thawed  = "thawed"  // with SIGCONT
	Stopped = "stopped" // told to stop with SIGTERM
	Forced  = "forced"  // a stop that was bounded: it may lose what it accepted
	Cut     = "cut"     // its network is faulty
	Mended  = "mended"  // its network is as before
	Ended   = "ended"   // the process is gone
	Noted   = "noted"   // anything else, for readers
)

// Event is what the scenario did, or saw of a process.
type Event struct {
	What    string    `json:"what"`
	Process string    `json:"process,omitempty"`
	Detail  string    `json:"detail,omitempty"`
	At      time.Time `json:"at"`
}

// Excuse says that operations may fail in a span of time, for a reason that the promises know.
type Excuse struct {
	Why   string    `json:"why"`
	From  time.Time `json:"from"`
	Until time.Time `json:"until,omitzero"`
	// Forms and Kinds are the operations that may fail, and how they may; all if empty.
	Forms []Form   `json:"forms,omitempty"`
	Kinds []string `json:"kinds,omitempty"`
}

// Violation is a promise that was broken.
type Violation struct {
	Promise string   `json:"promise"`
	Text    string   `json:"text"`
	IDs     []string `json:"ids,omitempty"`
}
