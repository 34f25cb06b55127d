package oslorpc

import (
	"github.com/oslorpc/oslorpc/internal/payload"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// The names of package rpc, for programs that import only this package.
type (
	// Target is the receiver of a message; see [rpc.Target]. It has the methods
	// [rpc.Target.String], [rpc.Target.Validate], [rpc.Target.ValidateClient] and
	// [rpc.Target.ValidateServer].
	Target = rpc.Target
	// Version is a version of an interface; see [rpc.Version]. It has the methods
	// [rpc.Version.Compare], [rpc.Version.Serves] and [rpc.Version.String].
	Version = rpc.Version
	// Error is the type of every error that an operation returns; see [rpc.Error]. [errors.Is]
	// compares it with a [Kind], and [errors.As] finds the [RemoteError] in it.
	Error = rpc.Error
	// Kind says what went wrong; see [rpc.Kind]. A kind is an error itself, for [errors.Is]. It has
	// the methods [rpc.Kind.Name] and [rpc.Kind.String].
	Kind = rpc.Kind
	// RemoteError is a failure of the remote method itself; see [rpc.RemoteError]. It wraps the
	// error value that [WithErrorValue] or [WithErrorType] registered, if any.
	RemoteError = rpc.RemoteError
)

// The kinds of errors; see package rpc for what each means.
const (
	Unknown            = rpc.Unknown
	InvalidTarget      = rpc.InvalidTarget
	VersionCapExceeded = rpc.VersionCapExceeded
	UnsupportedVersion = rpc.UnsupportedVersion
	NoSuchMethod       = rpc.NoSuchMethod
	BadArguments       = rpc.BadArguments
	BadResult          = rpc.BadResult
	TooLarge           = rpc.TooLarge
	AccessDenied       = rpc.AccessDenied
	NoInstance         = rpc.NoInstance
	Refused            = rpc.Refused
	Unreachable        = rpc.Unreachable
	Untrusted          = rpc.Untrusted
	Timeout            = rpc.Timeout
	MonitorTimeout     = rpc.MonitorTimeout
	OutcomeUnknown     = rpc.OutcomeUnknown
	Remote             = rpc.Remote
	Canceled           = rpc.Canceled
	Invalid            = rpc.Invalid
)

// KindOf returns the kind of an error, or [Unknown] if the error is not from this library; see
// [rpc.KindOf].
func KindOf(err error) Kind { return rpc.KindOf(err) }

// SafeToRetry reports whether err proves that the message did not run; see [rpc.SafeToRetry].
func SafeToRetry(err error) bool { return rpc.SafeToRetry(err) }

// IsNotDelivered reports whether err means that no server accepted the message; see
// [rpc.IsNotDelivered].
func IsNotDelivered(err error) bool { return rpc.IsNotDelivered(err) }

// Raw is JSON text that is sent or delivered unchanged. As arguments, it must be a JSON object. It
// is not checked before it is sent; the receiver refuses invalid JSON.
type Raw = payload.Raw

// Opt is a keyword argument that may be absent. Its zero value is absent, which differs from the
// zero value of T. Null counts as absent, as Python's None does for an optional argument. But if T
// is a pointer, slice, map or interface, which can be null itself, null counts as present. Its
// methods are Get() (T, bool), Or(def T) T, and IsZero() bool. [Some] makes an Opt that is present.
type Opt[T any] = payload.Opt[T]

// Some returns an Opt that is present.
func Some[T any](v T) Opt[T] { return payload.Some(v) }

// Extra is a map[string]any. Embedded in the struct of the arguments, it receives the keyword
// arguments that the struct does not name. Embedded in a struct within arguments, it receives the
// members that this struct does not name. Numbers in it are int64 if they are written as integers
// that fit, *big.Int if they are larger, and float64 otherwise.
type Extra = payload.Extra

// NoArgs is the type of the arguments of a method that takes none.
type NoArgs = struct{}
