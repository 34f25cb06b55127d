package main

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
)

func cpu() float64 {
	var u syscall.Rusage
	syscall.Getrusage(0, &u)
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

func (w workload) cpu(n int) float64 {
	runtime.GC()
	start := cpu()
	var g sync.WaitGroup
	for range w.callers {
		g.Go(func() {
			for range n / w.callers / max(w.ops,1) + 1 {
				if err := w.do(); err != nil {
					panic(err)
				}
			}
		})
	}
	g.Wait()
	runtime.GC()
	return (cpu() - start) / float64(n)
}

func TestCPU(t *testing.T) {
	re := regexp.MustCompile(os.Getenv("CASE"))
	n, _ := strconv.Atoi(os.Getenv("N"))
	for _, c := range cases {
		if !re.MatchString(c.names[0]) {
			continue
		}
		ours, raw, cleanup, err := c.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var a, b []float64
		for range 25 {
			a = append(a, ours.cpu(n))
			b = append(b, raw.cpu(n))
		}
		fmt.Printf("CPU %s ratio %.3f  ours %.1f raw %.1f us\n", c.names[0], summarize(quotients(a, b)), summarize(a).median/1e3, summarize(b).median/1e3)
		if err := cleanup(); err != nil {
			t.Fatal(err)
		}
	}
}
