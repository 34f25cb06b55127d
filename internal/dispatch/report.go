package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// report logs the failure of a method, at the level Debug if quietly is true. If the method in this
// process panicked or ended its goroutine, that is a defect of the method, which is always logged
// as an error. The id is not empty if the failure is hidden from its sender.
func (d *Dispatcher) report(ctx context.Context, r *Request, cause *rpc.RemoteError, id string, quietly bool) {
	log := d.config.Log
	if id != "" {
		log = log.With("failure", id)
	}
	here := len(cause.Hops) == 1 && len(cause.Stack) > 0
	switch {
	case here && cause.Type == exitedType:
		log.ErrorContext(ctx, "method ended its goroutine", "server", d.config.Name, "method", r.Method, "stack", cause.Stack)
		return
	case here:
		log.ErrorContext(ctx, "method panicked", "server", d.config.Name, "method", r.Method, "panic", brief(cause.Message), "stack", cause.Stack)
		return
	}
	level := slog.LevelError
	if quietly || isProbe(r, cause) {
		level = slog.LevelDebug
	}
	log.Log(ctx, level, "method failed", "server", d.config.Name, "method", r.Method, "error", brief(cause.Error()))
}

// maxLogged bounds the logged text of a failure, in bytes. The text may repeat what the caller
// sent, which must not fill the log.
const maxLogged = 4 << 10

func brief(text string) string {
	if len(text) <= maxLogged {
		return text
	}
	return strings.ToValidUTF8(text[:maxLogged], "") + fmt.Sprintf("... (%d bytes)", len(text))
}

// isExpected reports whether a failure is one of the method's Expected errors.
func isExpected(m *Method, failure *MethodError) bool {
	return slices.ContainsFunc(m.Expected, failure.matches)
}

// leftAlone reports whether a method failed only because its caller canceled the call. It returns
// false if a forced stop canceled the method.
func (d *Dispatcher) leftAlone(ctx context.Context, failure *MethodError) bool {
	return errors.Is(ctx.Err(), context.Canceled) && d.base.Err() == nil && failure.is(context.Canceled)
}

// probe is the suffix of method names that no server has. A caller sends a message with such a name
// to test whether it gets an answer, and expects the error. The convention is oslo.messaging's.
const probe = "_ignore_errors"

var noSuchMethod = typeName(&rpc.Error{Kind: rpc.NoSuchMethod})

// isProbe reports whether a method failed because it passed a probe on to another server, which
// refused it. If this server itself refuses a probe, nothing is logged.
func isProbe(r *Request, cause *rpc.RemoteError) bool {
	return strings.HasSuffix(r.Method, probe) && cause.Type == noSuchMethod
}
