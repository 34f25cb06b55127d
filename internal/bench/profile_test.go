package main

import (
	"fmt"
	"sync"
	"testing"
)

// BenchmarkSides runs each side of each case by itself, to be profiled.
func BenchmarkSides(b *testing.B) {
	for _, c := range cases {
		ours, raw, cleanup, err := c.open(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for i, w := range []workload{ours, raw} {
			b.Run(fmt.Sprint(c.names[0], "/", [...]string{"ours", "raw"}[i]), func(b *testing.B) { w.benchmark(b) })
		}
		if err := cleanup(); err != nil {
			b.Fatal(err)
		}
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
