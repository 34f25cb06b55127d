package gateway_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// BenchmarkCall compares calls through a gateway with direct calls in one process. In each round,
// half of the calls are direct. It reports the median of the ratios.
func BenchmarkCall(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers-%d", callers), func(b *testing.B) {
			f := &fleet{fmt.Sprintf("memory://bench-%d", callers)}
			f.serve(b, "a")
			g := f.gateway(b, "gw")
			target, ctx := oslorpc.Target{Topic: topic}, b.Context()
			direct := f.open(b).Client(target)
			through := open(b, "gateway://"+g.addr).Client(target)
			round := func(c *oslorpc.Client) time.Duration {
				begun, done := time.Now(), make(chan error)
				for range callers {
					go func() {
						var err error
						for n := 0; n < 256/callers && err == nil; n++ {
							_, err = oslorpc.Call[string](ctx, c, "whoami", nil)
						}
						done <- err
					}()
				}
				for range callers {
					if err := <-done; err != nil {
						b.Error(err)
					}
				}
				return time.Since(begun)
			}
			round(direct)
			round(through)
			var ratios []float64
			for b.Loop() {
				ratios = append(ratios, float64(round(through))/float64(round(direct)))
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "through/direct")
		})
	}
}
