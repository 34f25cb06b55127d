package program

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/internal/interop/wire"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// PortNotFound is an error with a class. Both ends register the class as [PortNotFoundType].
type PortNotFound struct {
	Port int `json:"port"`
}

// PortNotFoundType is the name under which every language registers [PortNotFound].
const PortNotFoundType = "ports.PortNotFound"

// Error returns the same text as in the other languages.
func (e *PortNotFound) Error() string { return fmt.Sprintf("no port %d", e.Port) }

// methods are the methods of a server.
type methods struct {
	name   string
	events *wire.Writer
}

// tell reports an event. It ignores errors, since a runner that no longer reads has ended.
func (m *methods) tell(event, note string) { _ = m.events.Write(wire.Event{Event: event, Note: note}) }

func (m *methods) endpoint() oslorpc.Endpoint {
	return oslorpc.Endpoint{Version: "1.2", Methods: map[string]oslorpc.Method{
		"whoami": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (string, error) { return m.name, nil }),
		"echo":   oslorpc.Func(func(_ context.Context, args oslorpc.Raw) (oslorpc.Raw, error) { return args, nil }),
		"context": oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (oslorpc.RequestContext, error) {
			return oslorpc.ContextFrom(ctx), nil
		}),
		"add": oslorpc.Func(func(_ context.Context, args sum) (int, error) {
			return args.A + args.B, nil
		}),
		"blob": oslorpc.Func(func(_ context.Context, args blob) (string, error) {
			return strings.Repeat("x", args.Size), nil
		}),
		"fail": oslorpc.Func(func(_ context.Context, args failure) (any, error) {
			return nil, errors.New(args.Message)
		}),
		"missing": oslorpc.Func(func(_ context.Context, args PortNotFound) (any, error) {
			return nil, &args
		}),
		"note":  oslorpc.Func(m.note),
		"sleep": oslorpc.Func(m.sleep),
		"count": oslorpc.Stream(count),
		"ticks": oslorpc.Stream(m.ticks),
	}}
}

// These are the keyword arguments of the methods.
type (
	sum struct {
		A int `json:"a"`
		B int `json:"b"`
	}
	blob struct {
		Size int `json:"size"`
	}
	failure struct {
		Message string `json:"message"`
	}
	upTo struct {
		N int `json:"n"`
	}
	noted struct {
		Note string `json:"note"`
	}
	pause struct {
		Note    string  `json:"note"`
		Seconds float64 `json:"seconds"`
	}
)

// note reports that it ran, and returns the name of its server after a pause.
func (m *methods) note(ctx context.Context, args pause) (string, error) {
	m.tell(wire.Ran, args.Note)
	return m.name, wait(ctx, args.Seconds)
}

// sleep sleeps, and reports if it is canceled. In that case it waits a moment before it returns, so
// that its answer does not arrive before the caller gives up.
func (m *methods) sleep(ctx context.Context, args pause) (string, error) {
	m.tell(wire.Began, args.Note)
	if err := wait(ctx, args.Seconds); err != nil {
		m.tell(wire.Canceled, args.Note)
		time.Sleep(lingers)
		return "", err
	}
	return "slept", nil
}

// lingers is how long a canceled method waits before it returns.
const lingers = 500 * time.Millisecond

func wait(ctx context.Context, seconds float64) error {
	select {
	case <-time.After(time.Duration(seconds * float64(time.Second))):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func count(_ context.Context, args upTo) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for n := range args.N {
			if !yield(n+1, nil) {
				return
			}
		}
	}
}

// ticks yields numbers until the caller stops reading.
func (m *methods) ticks(ctx context.Context, args noted) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		m.tell(wire.Began, args.Note)
		defer m.tell(wire.Canceled, args.Note)
		for n := 0; yield(n, nil) && wait(ctx, 0.02) == nil; n++ {
		}
	}
}
