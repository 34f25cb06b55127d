package main

import (
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/internal/cputime"
)

// workload is one side of a comparison.
type workload struct {
	// do runs operations, as many as ops says. It is called by the callers at once, again and
	// again.
	do      func() error
	callers int
	ops     int
}

// costs is what operations cost in one round each.
type costs struct {
	// time is the nanoseconds per operation: for several callers, of the time that passed, not
	// of the time that a caller waited.
	time []float64
	// cpu is the nanoseconds per operation that all processors together spent, those for the
	// operating system included. Other processes on the machine hardly change them.
	cpu []float64
	// allocs and bytes are what an operation allocates on the heap.
	allocs, bytes []float64
}

// alternate runs two workloads in turn, after a round for each to warm up.
func alternate(a, b workload, rounds int, roundTime time.Duration) (as, bs costs, err error) {
	for i := range rounds + 1 {
		if i == 1 {
			as, bs = costs{}, costs{}
		}
		if err := a.measure(roundTime, &as); err != nil {
			return costs{}, costs{}, err
		}
		if err := b.measure(roundTime, &bs); err != nil {
			return costs{}, costs{}, err
		}
	}
	return as, bs, nil
}

// measure runs a workload for some time and appends what an operation cost.
func (w workload) measure(length time.Duration, to *costs) error {
	runtime.GC() // so that neither side cleans up after the other
	counts, errs := make([]int, w.callers), make([]error, w.callers)
	var running sync.WaitGroup
	before := spentNow()
	for i := range w.callers {
		running.Go(func() {
			for errs[i] == nil && (counts[i] == 0 || time.Since(before.time) < length) {
				errs[i] = w.do()
				counts[i]++
			}
		})
	}
	running.Wait()
	after := spentNow()
	total := 0
	for i := range counts {
		if errs[i] != nil {
			return errs[i]
		}
		total += counts[i]
	}
	ops := float64(total * w.ops)
	to.time = append(to.time, float64(after.time.Sub(before.time))/ops)
	to.cpu = append(to.cpu, float64(after.cpu-before.cpu)/ops)
	to.allocs = append(to.allocs, float64(after.allocs-before.allocs)/ops)
	to.bytes = append(to.bytes, float64(after.bytes-before.bytes)/ops)
	return nil
}

// spent is what this process has spent by some time.
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

// quartiles summarize figures.
type quartiles struct{ q1, median, q3 float64 }

func summarize(figures []float64) quartiles {
	sorted := slices.Sorted(slices.Values(figures))
	return quartiles{q1: quantile(sorted, 0.25), median: quantile(sorted, 0.5), q3: quantile(sorted, 0.75)}
}

// quantile returns the figure below which this part of sorted figures is, interpolated between
// neighbours.
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

// quotients divides each figure by the other one of the same round.
func quotients(a, b []float64) []float64 {
	list := make([]float64, len(a))
	for i := range a {
		list[i] = a[i] / b[i]
	}
	return list
}
