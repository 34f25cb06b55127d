// Package compare measures workloads alternately, a round each, so that all run under the same
// conditions. It also contains the counterpart of oslorpc: a service that is written by hand with
// grpc-go.
package compare

import (
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/internal/cputime"
)

// Workload is one side of a comparison.
type Workload struct {
	// Do runs Ops operations. The callers call Do concurrently, again and again.
	Do func() error
	// Callers is how many goroutines call Do, and Ops is how many operations Do runs.
	Callers int
	Ops     int
	// Elsewhere returns the processor time that other processes have used for this side. It may be
	// nil.
	Elsewhere func() time.Duration
}

// Costs are the costs of an operation, with one figure for each round.
type Costs struct {
	// Time is the nanoseconds per operation. With several callers, it is the elapsed time divided
	// by all operations, not the time that one caller waits.
	Time []float64
	// CPU is the processor time per operation in nanoseconds, over all processors and including the
	// operating system. Other processes on the machine hardly change this figure.
	CPU []float64
	// Elsewhere is the processor time per operation in other processes, in nanoseconds.
	Elsewhere []float64
	// Allocs and Bytes are the heap allocations of an operation.
	Allocs, Bytes []float64
}

// Alternate runs workloads alternately and returns what each cost. Each workload first runs for a
// round to warm up.
func Alternate(rounds int, roundTime time.Duration, sides ...Workload) ([]Costs, error) {
	all := make([]Costs, len(sides))
	for i := range rounds + 1 {
		if i == 1 {
			clear(all)
		}
		for n, w := range sides {
			if err := w.measure(roundTime, &all[n]); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// measure runs a workload for some time and appends what an operation cost.
func (w Workload) measure(length time.Duration, to *Costs) error {
	runtime.GC() // so that neither side cleans up after the other
	counts, errs := make([]int, w.Callers), make([]error, w.Callers)
	var running sync.WaitGroup
	elsewhere := func() time.Duration { return 0 }
	if w.Elsewhere != nil {
		elsewhere = w.Elsewhere
	}
	others, before := elsewhere(), spentNow()
	for i := range w.Callers {
		running.Go(func() {
			for errs[i] == nil && (counts[i] == 0 || time.Since(before.time) < length) {
				errs[i] = w.Do()
				counts[i]++
			}
		})
	}
	running.Wait()
	after := spentNow()
	others = elsewhere() - others
	total := 0
	for i := range counts {
		if errs[i] != nil {
			return errs[i]
		}
		total += counts[i]
	}
	ops := float64(total * w.Ops)
	to.Time = append(to.Time, float64(after.time.Sub(before.time))/ops)
	to.CPU = append(to.CPU, float64(after.cpu-before.cpu)/ops)
	to.Elsewhere = append(to.Elsewhere, float64(others)/ops)
	to.Allocs = append(to.Allocs, float64(after.allocs-before.allocs)/ops)
	to.Bytes = append(to.Bytes, float64(after.bytes-before.bytes)/ops)
	return nil
}

// spent is what this process has used up to a moment.
type spent struct {
	time          time.Time
	cpu           time.Duration
	allocs, bytes uint64
}

func spentNow() spent {
	heap := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(heap)
	return spent{time: time.Now(), cpu: cputime.Used(), allocs: heap[0].Value.Uint64(), bytes: heap[1].Value.Uint64()}
}

// Quartiles are the quartiles of figures.
type Quartiles struct{ Q1, Median, Q3 float64 }

// Summarize returns the quartiles of figures. It does not change the slice.
func Summarize(figures []float64) Quartiles {
	sorted := slices.Sorted(slices.Values(figures))
	return Quartiles{Q1: quantile(sorted, 0.25), Median: quantile(sorted, 0.5), Q3: quantile(sorted, 0.75)}
}

// quantile returns the figure below which this part of the sorted figures lies. It interpolates
// between neighbours.
func quantile(sorted []float64, part float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := part * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// Quotients divides each figure by the other figure of the same round.
func Quotients(a, b []float64) []float64 {
	list := make([]float64, len(a))
	for i := range a {
		list[i] = a[i] / b[i]
	}
	return list
}
