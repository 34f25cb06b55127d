package main

import (
	"reflect"
	"sync"
	"testing"

	"github.com/oslorpc/oslorpc/internal/bench/compare"
)

func TestRatioIsOfTheRounds(t *testing.T) {
	// In the third round, the machine was ten times as slow for both sides.
	ours, raw := []float64{2000, 3000, 40000}, []float64{1000, 1000, 20000}
	times := line{Quartiles: compare.Quartiles{Q1: 2, Median: 2, Q3: 2.5}, ours: 3, raw: 1}
	counts := line{Quartiles: compare.Quartiles{Q1: 2, Median: 2, Q3: 2.5}, ours: 3000, raw: 1000}
	got := ratio(compare.Costs{Time: ours, CPU: ours, Allocs: ours, Bytes: ours}, compare.Costs{Time: raw, CPU: raw, Allocs: raw, Bytes: raw})
	want := times
	want.more = []part{{"cpu", times}, {"allocs", counts}, {"bytes", counts}}
	if len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("ratio = %+v, want %+v", got, want)
	}
}

func TestAbsoluteAndRatio(t *testing.T) {
	lines := absoluteAndRatio(compare.Costs{Time: []float64{10, 10}}, compare.Costs{Time: []float64{15, 15}})
	for i, want := range []float64{10, 15, 1.5} {
		if lines[i].Median != want || lines[i].ours != 0 || lines[i].raw != 0 {
			t.Errorf("line %d is %+v, want a median of %v and nothing compared", i, lines[i], want)
		}
	}
}

// BenchmarkSides runs each side of each case alone, for profiling.
func BenchmarkSides(b *testing.B) {
	for _, c := range cases {
		b.Run(c.names[0], func(b *testing.B) {
			ours, raw, cleanup, err := c.open(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			b.Run("ours", benchmark(ours))
			b.Run("raw", benchmark(raw))
			if err := cleanup(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func benchmark(w compare.Workload) func(b *testing.B) {
	return func(b *testing.B) {
		b.ReportAllocs()
		var running sync.WaitGroup
		for i := range w.Callers {
			running.Go(func() {
				for n := i; n < b.N; n += w.Callers {
					if err := w.Do(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		running.Wait()
	}
}
