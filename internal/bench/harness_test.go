package main

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/cputime"
)

func TestSummarize(t *testing.T) {
	for _, test := range []struct {
		figures []float64
		want    quartiles
	}{
		{nil, quartiles{}},
		{[]float64{3}, quartiles{q1: 3, median: 3, q3: 3}},
		{[]float64{4, 2}, quartiles{q1: 2.5, median: 3, q3: 3.5}},
		{[]float64{5, 1, 3, 2, 4}, quartiles{q1: 2, median: 3, q3: 4}},
		{[]float64{1, 1, 1, 100}, quartiles{q1: 1, median: 1, q3: 25.75}},
	} {
		given := slices.Clone(test.figures)
		if got := summarize(test.figures); got != test.want {
			t.Errorf("summarize(%v) = %+v, want %+v", test.figures, got, test.want)
		}
		if !slices.Equal(test.figures, given) {
			t.Errorf("summarize changed its figures: %v is now %v", given, test.figures)
		}
	}
}

func TestRatioIsOfTheRounds(t *testing.T) {
	// The third round ran on a machine ten times as slow, for both.
	ours, raw := []float64{2000, 3000, 40000}, []float64{1000, 1000, 20000}
	times := line{quartiles: quartiles{q1: 2, median: 2, q3: 2.5}, ours: 3, raw: 1}
	counts := line{quartiles: quartiles{q1: 2, median: 2, q3: 2.5}, ours: 3000, raw: 1000}
	got := ratio(costs{time: ours, cpu: ours, allocs: ours, bytes: ours}, costs{time: raw, cpu: raw, allocs: raw, bytes: raw})
	want := times
	want.more = []part{{"cpu", times}, {"allocs", counts}, {"bytes", counts}}
	if len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("ratio = %+v, want %+v", got, want)
	}
}

func TestAbsoluteAndRatio(t *testing.T) {
	lines := absoluteAndRatio(costs{time: []float64{10, 10}}, costs{time: []float64{15, 15}})
	for i, want := range []float64{10, 15, 1.5} {
		if lines[i].median != want || lines[i].ours != 0 || lines[i].raw != 0 {
			t.Errorf("line %d is %+v, want a median of %v and nothing compared", i, lines[i], want)
		}
	}
}

func TestAlternate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		side := func(name string, each time.Duration, ops int) workload {
			return workload{callers: 1, ops: ops, do: func() error {
				order = append(order, name)
				time.Sleep(each)
				return nil
			}}
		}
		as, bs, err := alternate(side("a", 10*time.Millisecond, 1), side("b", 10*time.Millisecond, 5), 3, 20*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprint(slices.Compact(order)), "[a b a b a b a b]"; got != want {
			t.Errorf("the order is %s, want %s: a round to warm up and three more", got, want)
		}
		if len(order) != 16 {
			t.Errorf("%d iterations, want 2 in each of 8 turns", len(order))
		}
		wantA, wantB := []float64{1e7, 1e7, 1e7}, []float64{2e6, 2e6, 2e6}
		if !slices.Equal(as.time, wantA) || !slices.Equal(bs.time, wantB) {
			t.Errorf("times are %v and %v, want %v and %v", as.time, bs.time, wantA, wantB)
		}
	})
}

func TestMeasureSharesTheTimeAmongCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := workload{callers: 4, ops: 1, do: func() error {
			time.Sleep(8 * time.Millisecond)
			return nil
		}}
		var got costs
		if err := w.measure(40*time.Millisecond, &got); err != nil || len(got.time) != 1 || math.Abs(got.time[0]-2e6) > 1 {
			t.Errorf("measure = %v, %v, want 2 ms", got.time, err)
		}
	})
}

func TestMeasureCountsAllocations(t *testing.T) {
	const size = 1 << 20
	var kept []byte
	w := workload{callers: 1, ops: 2, do: func() error {
		kept = make([]byte, size)
		return nil
	}}
	var got costs
	if err := w.measure(0, &got); err != nil || len(kept) != size {
		t.Fatal(err)
	}
	if got.bytes[0] < size/2 || got.bytes[0] > size || got.allocs[0] < 0.5 {
		t.Errorf("an operation made %v allocations of %v bytes, want one of %d for two operations", got.allocs[0], got.bytes[0], size)
	}
}

func TestMeasureCountsProcessorTime(t *testing.T) {
	before := cputime.Used()
	if before == 0 {
		t.Skip("this system is not asked")
	}
	w := workload{callers: 1, ops: 1, do: func() error {
		for cputime.Used() < before+20*time.Millisecond {
		}
		return nil
	}}
	var got costs
	if err := w.measure(0, &got); err != nil || got.cpu[0] < float64(10*time.Millisecond) {
		t.Errorf("an operation that spent processor time cost %v, %v", got.cpu, err)
	}
}

func TestMeasureStopsAtAnError(t *testing.T) {
	failure := errors.New("broken")
	var calls atomic.Int64
	w := workload{callers: 3, ops: 1, do: func() error {
		calls.Add(1)
		return failure
	}}
	if err := w.measure(time.Hour, &costs{}); !errors.Is(err, failure) {
		t.Errorf("the error is %v, want %v", err, failure)
	}
	if n := calls.Load(); n != 3 {
		t.Errorf("%d calls, want one a caller", n)
	}
	good := workload{callers: 1, ops: 1, do: func() error { return nil }}
	if _, _, err := alternate(good, w, 1, 0); !errors.Is(err, failure) {
		t.Errorf("alternate returned %v, want %v", err, failure)
	}
}

// BenchmarkSides runs each side of each case by itself, to be profiled.
func BenchmarkSides(b *testing.B) {
	for _, c := range cases {
		b.Run(c.names[0], func(b *testing.B) {
			ours, raw, cleanup, err := c.open(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			b.Run("ours", ours.benchmark)
			b.Run("raw", raw.benchmark)
			if err := cleanup(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func (w workload) benchmark(b *testing.B) {
	b.ReportAllocs()
	var running sync.WaitGroup
	for i := range w.callers {
		running.Go(func() {
			for n := i; n < b.N; n += w.callers {
				if err := w.do(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
}
