package serve

import (
	"context"
	"fmt"
	"iter"
	"math/big"
	"os"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// service has the methods of a demo server.
type service struct{ server string }

// methods returns the methods of a demo server. Each run is written to the journal.
func methods(server string, j *journal) map[string]oslorpc.Method {
	s := service{server}
	return map[string]oslorpc.Method{
		"echo":   oslorpc.Func(recorded(j, s.echo)),
		"add":    oslorpc.Func(recorded(j, s.add)),
		"sleep":  oslorpc.Func(recorded(j, s.sleep)),
		"fail":   oslorpc.Func(recorded(j, s.fail)).Expect(oslorpc.ErrorType[requestedFailure]()),
		"whoami": oslorpc.Func(recorded(j, s.whoami)),
		"count":  oslorpc.Stream(recordedStream(j, s.count)),
	}
}

// anything is the type of arguments of any names and types. The values are JSON text.
type anything map[string]oslorpc.Raw

func (service) echo(_ context.Context, args anything) (anything, error) { return args, nil }

type addArgs struct {
	A big.Int `json:"a"`
	B big.Int `json:"b"`
}

func (service) add(_ context.Context, args addArgs) (*big.Int, error) {
	return new(big.Int).Add(&args.A, &args.B), nil
}

type sleepArgs struct {
	Seconds float64 `json:"seconds"`
}

func (service) sleep(ctx context.Context, args sleepArgs) (any, error) {
	return nil, pause(ctx, args.Seconds)
}

// requestedFailure is the error of the method fail.
type requestedFailure string

// Error returns the message.
func (f requestedFailure) Error() string { return string(f) }

type failArgs struct {
	Message oslorpc.Opt[string] `json:"message,omitzero"`
	Panic   oslorpc.Opt[bool]   `json:"panic,omitzero"`
}

func (service) fail(_ context.Context, args failArgs) (any, error) {
	message := args.Message.Or("asked to fail")
	if args.Panic.Or(false) {
		panic(message)
	}
	return nil, requestedFailure(message)
}

// Identity is the result of the method whoami.
type Identity struct {
	Server    string `json:"server"`
	ProcessID int    `json:"pid"`
}

func (s service) whoami(context.Context, oslorpc.NoArgs) (Identity, error) {
	return Identity{s.server, os.Getpid()}, nil
}

type countArgs struct {
	N        int64                `json:"n"`
	Interval oslorpc.Opt[float64] `json:"interval,omitzero"`
}

func (service) count(ctx context.Context, args countArgs) iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		for n := int64(1); n <= args.N; n++ {
			if err := pause(ctx, args.Interval.Or(0)); err != nil {
				yield(0, err)
				return
			}
			if !yield(n, nil) {
				return
			}
		}
	}
}

// maxPause bounds a pause, in seconds, so that it fits in a time.Duration.
const maxPause = 24 * 60 * 60

// pause returns after a number of seconds, or when ctx ends.
func pause(ctx context.Context, seconds float64) error {
	if seconds < 0 || seconds > maxPause {
		return fmt.Errorf("%v seconds is not a valid pause: write a number from 0 to %d", seconds, maxPause)
	}
	timer := time.NewTimer(time.Duration(seconds * float64(time.Second)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
