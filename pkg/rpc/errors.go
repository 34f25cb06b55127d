package rpc

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Kind says what went wrong. A Kind is itself an error: errors.Is(err, rpc.Timeout) reports whether
// err is of that kind.
type Kind uint8

// The kinds. errors.proto lists the gRPC status code of each.
const (
	// Unknown is the kind of an error that is not an [Error]; see [KindOf].
	Unknown Kind = iota
	// InvalidTarget: the target is incomplete or malformed, or the operation does not support it.
	InvalidTarget
	// VersionCapExceeded: the client's version cap forbids the message.
	VersionCapExceeded
	// UnsupportedVersion: no server implements the namespace at a compatible version.
	UnsupportedVersion
	// NoSuchMethod: a server has a compatible endpoint, but the endpoint lacks the method.
	NoSuchMethod
	// BadArguments: the arguments do not fit the method: unknown, missing, or of the wrong type.
	BadArguments
	// BadResult: the method ran, but its result cannot be sent, or does not fit the type that the
	// caller asked for.
	BadResult
	// TooLarge: the request or the result exceeds the size limit.
	TooLarge
	// AccessDenied: the caller is not allowed to do this. [Error.NotStarted] is true if the method
	// provably did not run.
	AccessDenied
	// NoInstance: there is no receiver: discovery lists no server on the topic, or not the named
	// server.
	NoInstance
	// Refused: every server refused the message, because it is full, it is stopping, or an
	// interceptor refused.
	Refused
	// Unreachable: servers are listed, but the client can connect to none of them; or discovery
	// itself cannot be reached.
	Unreachable
	// Timeout: the deadline passed after the message was sent. It matches context.DeadlineExceeded.
	Timeout
	// MonitorTimeout: the heartbeats of a monitored call stopped. It matches
	// context.DeadlineExceeded.
	MonitorTimeout
	// OutcomeUnknown: the connection was lost after the message was sent. The method may have run.
	OutcomeUnknown
	// Remote: the method ran and failed. The error wraps a [RemoteError].
	Remote
	// Canceled: the caller's context was canceled. It matches context.Canceled.
	Canceled
	// Invalid: the program used the library wrongly, or its configuration is malformed.
	Invalid
	// Untrusted: servers are listed, but this client and they do not trust each other, so nothing
	// was sent. Either the TLS handshake fails for a reason that another attempt cannot cure, or
	// the certificate does not prove the identity of the intended server.
	Untrusted
)

// kinds has the name of each kind and the words for it.
var kinds = [...]struct{ name, words string }{
	Unknown:            {"Unknown", "unknown error"},
	InvalidTarget:      {"InvalidTarget", "invalid target"},
	VersionCapExceeded: {"VersionCapExceeded", "version cap exceeded"},
	UnsupportedVersion: {"UnsupportedVersion", "unsupported version"},
	NoSuchMethod:       {"NoSuchMethod", "no such method"},
	BadArguments:       {"BadArguments", "bad arguments"},
	BadResult:          {"BadResult", "bad result"},
	TooLarge:           {"TooLarge", "too large"},
	AccessDenied:       {"AccessDenied", "access denied"},
	NoInstance:         {"NoInstance", "not delivered: no instance"},
	Refused:            {"Refused", "not delivered: refused"},
	Unreachable:        {"Unreachable", "not delivered: unreachable"},
	Untrusted:          {"Untrusted", "not delivered: untrusted"},
	Timeout:            {"Timeout", "timed out"},
	MonitorTimeout:     {"MonitorTimeout", "heartbeats stopped"},
	OutcomeUnknown:     {"OutcomeUnknown", "outcome unknown"},
	Remote:             {"Remote", "remote error"},
	Canceled:           {"Canceled", "canceled"},
	Invalid:            {"Invalid", "invalid use"},
}

// String returns the kind in words.
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k].words
	}
	return k.Name()
}

// Name returns the Go name of the kind, such as "NoInstance", for logs, metrics and programs.
func (k Kind) Name() string {
	if int(k) < len(kinds) {
		return kinds[k].name
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Error makes a Kind usable with errors.Is; it returns the kind in words.
func (k Kind) Error() string { return k.String() }

// Error is the type of every error that an operation of oslorpc returns. Read it with errors.As, or
// test it with [KindOf], [SafeToRetry] and errors.Is(err, kind).
type Error struct {
	// Kind says what went wrong.
	Kind Kind
	// Message says what was wrong, where, and what to do about it.
	Message string
	// Target is the receiver of the message. It is zero if the error is not about a message.
	Target Target
	// Method is the name of the called method, if any.
	Method string
	// Server and InstanceID name the instance that the error is about: the instance that answered,
	// or the last one that the message was sent to. They are empty if the error is about no
	// instance.
	Server, InstanceID string
	// Addr is the address at which the client reached that instance. It is empty in a server's
	// errors, and if there is no instance.
	Addr string
	// Path is the place within the arguments or the result, as a JSON pointer such as
	// "/volumes/3/size".
	Path string
	// NotStarted is true if the method provably did not run. See [SafeToRetry].
	NotStarted bool
	// Waited is how long the client waited before it gave up. It is zero if the client did not give
	// up, or if the error comes from a server.
	Waited time.Duration
	// Cause is the error behind this one, if any.
	Cause error
}

// Error returns the kind, how long the client waited, the method, the server with its address, the
// target, and the message, as far as they are known: "timed out after 2s: build at cmp-17
// (10.0.0.17:7000), topic compute: no answer". If there is no message, the cause takes its place.
func (e *Error) Error() string {
	text := e.Message
	if text == "" && e.Cause != nil {
		text = e.Cause.Error()
	}
	parts := []string{e.Kind.String()}
	if e.Waited > 0 && e.Kind == Timeout {
		parts[0] += " after " + round(e.Waited)
	}
	about, text := e.about(text)
	for _, part := range []string{about, text} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if e.Waited > 0 && e.Kind != Timeout {
		parts[len(parts)-1] += " (waited " + round(e.Waited) + ")"
	}
	return strings.Join(parts, ": ")
}

// round returns a duration for people, with two or three digits: "250ms", "2.5s", "60s".
func round(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%dms", max(d.Round(time.Millisecond).Milliseconds(), 1))
	}
	unit := 100 * time.Millisecond
	if d > 10*time.Second {
		unit = time.Second
	}
	return strconv.FormatFloat(d.Round(unit).Seconds(), 'f', -1, 64) + "s"
}

// about says which message and which server the error is about, and returns the rest of the text.
// It does not repeat a server that the text names already.
func (e *Error) about(text string) (about, rest string) {
	target := e.Target
	named := e.Addr == "" || strings.Contains(text, e.Addr)
	does, begins := strings.CutPrefix(text, fmt.Sprintf("server %q ", e.Server))
	if e.Server == target.Server && (!named || strings.Contains(text, e.Server)) {
		target.Server = ""
	}
	switch {
	case named:
		return withTarget(word(e.Method), " on ", target), text
	case begins:
		return withTarget(word(e.Method), " on ", target), fmt.Sprintf("server %q at %s %s", e.Server, e.Addr, does)
	default:
		return withTarget(e.place(), ", ", target), text
	}
}

// place says which method the error is about, and where.
func (e *Error) place() string {
	switch {
	case e.Method != "" && e.Server != "":
		return fmt.Sprintf("%s at %s (%s)", word(e.Method), word(e.Server), e.Addr)
	case e.Method != "":
		return word(e.Method) + " at " + e.Addr
	case e.Server != "":
		return fmt.Sprintf("server %q at %s", e.Server, e.Addr)
	default:
		return "the server at " + e.Addr
	}
}

// withTarget appends a separator and the target's fields to what, unless either text is empty.
func withTarget(what, sep string, t Target) string {
	words := t.words()
	if what == "" || words == "" {
		return what + words
	}
	return what + sep + words
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is reports whether target is the error's kind, or the context error that the kind stands for.
func (e *Error) Is(target error) bool {
	switch target {
	case context.DeadlineExceeded:
		return e.Kind == Timeout || e.Kind == MonitorTimeout
	case context.Canceled:
		return e.Kind == Canceled
	}
	k, ok := target.(Kind)
	return ok && k == e.Kind
}

// KindOf returns the kind of the first [Error] in err's chain, or [Unknown] if there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Unknown
}

// SafeToRetry reports whether err proves that the message did not run: it was never sent, or it was
// refused before it ran. Sending it again cannot make it run twice. False means "not known"; it
// does not mean that the message ran.
func SafeToRetry(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.NotStarted
}

// IsNotDelivered reports whether err means that no server accepted the message: [NoInstance],
// [Refused], [Unreachable] or [Untrusted].
func IsNotDelivered(err error) bool {
	switch KindOf(err) {
	case NoInstance, Refused, Unreachable, Untrusted:
		return true
	default:
		return false
	}
}

// RemoteError is a failure of the method itself, as the server saw it. An [Error] of kind [Remote]
// wraps it; find it with errors.As.
type RemoteError struct {
	// Type is the name of the error's type at the server.
	Type string
	// Message is the error's text.
	Message string
	// Stack is the stack of a panic, one line per entry. It is empty for a returned error.
	Stack []string
	// Hops are the servers that the error passed through. The first is the server where it arose.
	Hops []string
	// Data are the error's fields as JSON text. It is empty if the error has no fields, if the
	// server has not registered the type, or if the fields exceed the size limit of an error.
	Data string
	// Rebuilt is an error of the Go type that the program registered under Type. errors.Is and
	// errors.As find it. It is nil if no type is registered, or if the type cannot be built from
	// Data.
	Rebuilt error
}

// Error returns the type and the message. It leaves out the type "error", which errors from
// errors.New have, because it says nothing.
func (e *RemoteError) Error() string {
	if e.Type == "error" {
		return e.Message
	}
	return e.Type + ": " + e.Message
}

// Unwrap returns the registered Go error, if there is one.
func (e *RemoteError) Unwrap() error { return e.Rebuilt }
