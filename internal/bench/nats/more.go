package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/internal/bench/compare"
)

const (
	// bulkCallers is how many callers make calls of 16 MiB beside the small calls.
	bulkCallers = 4
	// tailRounds is how many rounds of small calls a tail is measured over.
	tailRounds = 15
	// idleServers is how many idle servers the client is connected to.
	idleServers = 200
)

// tails prints the 99th percentile of the time of a small call, alone and beside large calls.
func tails(ctx context.Context, out io.Writer, length time.Duration) (err error) {
	sides, err := openTails(ctx)
	defer func() {
		for _, s := range sides {
			err = errors.Join(err, s.close())
		}
	}()
	if err != nil {
		return err
	}
	alone, beside := make([][]time.Duration, len(sides)), make([][]time.Duration, len(sides))
	for range tailRounds {
		for i, s := range sides {
			if err := timed(ctx, s.call, length, &alone[i]); err != nil {
				return err
			}
			if err := s.amid(ctx, func() error { return timed(ctx, s.call, length, &beside[i]) }); err != nil {
				return err
			}
		}
	}
	for i, s := range sides {
		a, b := p99(alone[i]), p99(beside[i])
		fmt.Fprintf(out, "p99          %-8s %9.1f us alone, %9.1f us beside %d callers of 16 MiB: %.1f times\n", s.name, us(a), us(b), bulkCallers, us(b)/us(a))
	}
	return nil
}

// openTails starts the sides that carry small and large messages at the same time: raw gRPC with
// one connection and with two, plain TCP, and oslorpc. The last side makes no large calls: it
// copies memory instead.
func openTails(ctx context.Context) (sides []*side, err error) {
	raw := func(name string, open func() (*compare.Beside, error)) {
		b, e := open()
		err = errors.Join(err, e)
		sides = append(sides, &side{name: name, call: b.Small, bulk: b.Large, closes: []func() error{b.Close}})
	}
	raw("raw", func() (*compare.Beside, error) { return compare.NewRawBeside(ctx, payloadSize, bulkSize, false) })
	raw("raw-apart", func() (*compare.Beside, error) { return compare.NewRawBeside(ctx, payloadSize, bulkSize, true) })
	raw("tcp", func() (*compare.Beside, error) { return compare.NewTCPBeside(ctx, payloadSize, bulkSize, bulkCallers) })
	for _, carrier := range []string{"unary", "session"} {
		s, e := openOurs(ctx, carrier, 1)
		err = errors.Join(err, e)
		sides = append(sides, s)
	}
	s, e := openOurs(ctx, "session", 1)
	s.name, s.bulk = "copying", copyBulk
	return append(sides, s), errors.Join(err, e)
}

// copyBulk copies as many bytes as a large call has, and sends nothing.
func copyBulk(context.Context) error {
	copy(make([]byte, bulkSize), make([]byte, bulkSize))
	return nil
}

// amid runs do while callers make calls of 16 MiB.
func (s *side) amid(ctx context.Context, do func() error) error {
	over := make(chan struct{})
	errs := make([]error, bulkCallers)
	var calling sync.WaitGroup
	for i := range bulkCallers {
		calling.Go(func() {
			for errs[i] == nil {
				select {
				case <-over:
					return
				default:
					errs[i] = s.bulk(ctx)
				}
			}
		})
	}
	err := do()
	close(over)
	calling.Wait()
	return errors.Join(err, errors.Join(errs...))
}

// timed makes calls for a while and appends how long each call took.
func timed(ctx context.Context, call func(context.Context) error, length time.Duration, to *[]time.Duration) error {
	for begun := time.Now(); time.Since(begun) < length; {
		before := time.Now()
		if err := call(ctx); err != nil {
			return err
		}
		*to = append(*to, time.Since(before))
	}
	return nil
}

func p99(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)*99/100]
}

func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// idle prints the memory of an idle connection, at both ends together.
func idle(ctx context.Context, out io.Writer, _ time.Duration) error {
	for _, carrier := range []string{"unary", "session"} {
		few, err := held(ctx, carrier, 1)
		if err != nil {
			return err
		}
		many, err := held(ctx, carrier, 1+idleServers)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "idle         %-8s %9d bytes for each peer, both ends and the server that it has\n", carrier, (many-few)/idleServers)
	}
	return nil
}

// held returns how much memory is in use while the client is connected to the given number of
// servers.
func held(ctx context.Context, carrier string, servers int) (bytes int64, err error) {
	s, err := openOurs(ctx, carrier, servers)
	defer func() { err = errors.Join(err, s.close()) }()
	if err != nil {
		return 0, err
	}
	runtime.GC()
	runtime.GC() // the first one empties pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse), nil //nolint:gosec // It fits.
}
