package route

import (
	"fmt"
	"testing"
)

// fleet returns a view of n instances that share nothing, as in a real fleet, and the names of some
// servers in it.
func fleet(n int) (*View, []string) {
	entries := many(n)
	names := make([]string, 10)
	for i := range names {
		names[i] = fmt.Sprint("host-", i*n/len(names))
	}
	v := NewView(entries, 1)
	v.ableTo(wants(1))
	v.named()
	return v, names
}

func TestPickDoesNotAllocate(t *testing.T) {
	for _, n := range []int{10, 1000} {
		v, names := fleet(n)
		turn := uint64(0)
		anyone := testing.AllocsPerRun(1000, func() {
			var tried Tried
			turn++
			v.Any(wants(1), turn, &tried)
		})
		named := testing.AllocsPerRun(1000, func() {
			var tried Tried
			turn++
			v.Server(wants(1), names[turn%10], turn, &tried)
		})
		if anyone != 0 || named != 0 {
			t.Errorf("of %d: %v allocations for any, %v for a server, want none", n, anyone, named)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		v, names := fleet(n)
		b.Run(fmt.Sprint("any/", n), func(b *testing.B) {
			b.ReportAllocs()
			for turn := uint64(0); b.Loop(); turn++ {
				var tried Tried
				if _, verdict := v.Any(wants(1), turn, &tried); verdict != Found {
					b.Fatal(verdict)
				}
			}
		})
		b.Run(fmt.Sprint("server/", n), func(b *testing.B) {
			b.ReportAllocs()
			for turn := uint64(0); b.Loop(); turn++ {
				var tried Tried
				if _, verdict := v.Server(wants(1), names[turn%10], turn, &tried); verdict != Found {
					b.Fatal(verdict)
				}
			}
		})
	}
}

// BenchmarkLearn measures what the first message after a change of the fleet costs.
func BenchmarkLearn(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		v, _ := fleet(n)
		b.Run(fmt.Sprint("any/", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				NewView(v.entries, 1).ableTo(wants(1))
			}
		})
		b.Run(fmt.Sprint("server/", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				NewView(v.entries, 1).named()
			}
		})
	}
}
