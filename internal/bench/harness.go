package main

import (
	"runtime"
	"slices"
	"sync"
	"time"
)

// workload is one side of a comparison.
type workload struct {
	// do runs operations, as many as ops says. It is called by the callers at once, again and
	// again.
	do      func() error
	callers int
	ops     int
}

// alternate runs two workloads in turn, after a round for each to warm up, and returns the
// nanoseconds per operation of each round.
func alternate(a, b workload, rounds int, roundTime time.Duration) (as, bs []float64, err error) {
	for range rounds + 1 {
		timeA, err := a.measure(roundTime)
		if err != nil {
			return nil, nil, err
		}
		timeB, err := b.measure(roundTime)
		if err != nil {
			return nil, nil, err
		}
		as, bs = append(as, timeA), append(bs, timeB)
	}
	return as[1:], bs[1:], nil
}

// measure runs a workload for some time and returns the nanoseconds per operation: for several
// callers, those of the time that passed, not those that a caller waited.
func (w workload) measure(length time.Duration) (float64, error) {
	runtime.GC() // so that nobody cleans up after the other side
	counts, errs := make([]int, w.callers), make([]error, w.callers)
	var running sync.WaitGroup
	start := time.Now()
	for i := range w.callers {
		running.Go(func() {
			for errs[i] == nil && (counts[i] == 0 || time.Since(start) < length) {
				errs[i] = w.do()
				counts[i]++
			}
		})
	}
	running.Wait()
	elapsed := time.Since(start)
	total := 0
	for i := range counts {
		if errs[i] != nil {
			return 0, errs[i]
		}
		total += counts[i]
	}
	return float64(elapsed) / float64(total*w.ops), nil
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

// quotients divides each figure by that of the same round.
func quotients(a, b []float64) []float64 {
	list := make([]float64, len(a))
	for i := range a {
		list[i] = a[i] / b[i]
	}
	return list
}
