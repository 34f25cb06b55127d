package compare

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/cputime"
)

func TestSummarize(t *testing.T) {
	for _, test := range []struct {
		figures []float64
		want    Quartiles
	}{
		{nil, Quartiles{}},
		{[]float64{3}, Quartiles{Q1: 3, Median: 3, Q3: 3}},
		{[]float64{4, 2}, Quartiles{Q1: 2.5, Median: 3, Q3: 3.5}},
		{[]float64{5, 1, 3, 2, 4}, Quartiles{Q1: 2, Median: 3, Q3: 4}},
		{[]float64{1, 1, 1, 100}, Quartiles{Q1: 1, Median: 1, Q3: 25.75}},
	} {
		given := slices.Clone(test.figures)
		if got := Summarize(test.figures); got != test.want {
			t.Errorf("Summarize(%v) = %+v, want %+v", test.figures, got, test.want)
		}
		if !slices.Equal(test.figures, given) {
			t.Errorf("Summarize changed its figures: %v is now %v", given, test.figures)
		}
	}
}

func TestAlternate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		side := func(name string, each time.Duration, ops int) Workload {
			return Workload{Callers: 1, Ops: ops, Do: func() error {
				order = append(order, name)
				time.Sleep(each)
				return nil
			}}
		}
		both, err := Alternate(3, 20*time.Millisecond, side("a", 10*time.Millisecond, 1), side("b", 10*time.Millisecond, 5))
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
		if !slices.Equal(both[0].Time, wantA) || !slices.Equal(both[1].Time, wantB) {
			t.Errorf("times are %v and %v, want %v and %v", both[0].Time, both[1].Time, wantA, wantB)
		}
	})
}

func TestMeasureSharesTheTimeAmongCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := Workload{Callers: 4, Ops: 1, Do: func() error {
			time.Sleep(8 * time.Millisecond)
			return nil
		}}
		var got Costs
		if err := w.measure(40*time.Millisecond, &got); err != nil || len(got.Time) != 1 || math.Abs(got.Time[0]-2e6) > 1 {
			t.Errorf("measure = %v, %v, want 2 ms", got.Time, err)
		}
	})
}

func TestMeasureCountsAllocations(t *testing.T) {
	const size = 1 << 20
	var kept []byte
	w := Workload{Callers: 1, Ops: 2, Do: func() error {
		kept = make([]byte, size)
		return nil
	}}
	var got Costs
	if err := w.measure(0, &got); err != nil || len(kept) != size {
		t.Fatal(err)
	}
	if got.Bytes[0] < size/2 || got.Bytes[0] > size || got.Allocs[0] < 0.5 {
		t.Errorf("an operation made %v allocations of %v bytes, want one of %d for two operations", got.Allocs[0], got.Bytes[0], size)
	}
}

func TestMeasureCountsProcessorTime(t *testing.T) {
	before := cputime.Used()
	if before == 0 {
		t.Skip("this system does not report processor time")
	}
	w := Workload{Callers: 1, Ops: 1, Do: func() error {
		for cputime.Used() < before+20*time.Millisecond {
		}
		return nil
	}}
	var got Costs
	if err := w.measure(0, &got); err != nil || got.CPU[0] < float64(10*time.Millisecond) {
		t.Errorf("an operation that spent processor time cost %v, %v", got.CPU, err)
	}
}

func TestMeasureStopsAtAnError(t *testing.T) {
	failure := errors.New("broken")
	var calls atomic.Int64
	w := Workload{Callers: 3, Ops: 1, Do: func() error {
		calls.Add(1)
		return failure
	}}
	if err := w.measure(time.Hour, &Costs{}); !errors.Is(err, failure) {
		t.Errorf("the error is %v, want %v", err, failure)
	}
	if n := calls.Load(); n != 3 {
		t.Errorf("%d calls, want one a caller", n)
	}
	good := Workload{Callers: 1, Ops: 1, Do: func() error { return nil }}
	if _, err := Alternate(1, 0, good, w); !errors.Is(err, failure) {
		t.Errorf("Alternate returned %v, want %v", err, failure)
	}
}

// Neither side may have fewer bytes.
func TestOpaqueHasTheSize(t *testing.T) {
	for n := range 20000 {
		// An encoding of 1 or 2 bytes is not possible, and neither is a size at which the length
		// prefix grows.
		if got := proto.Size(Opaque(n)); got != n && (got != n-1 || proto.Size(Opaque(n+1)) != n+1) && n > 2 {
			t.Fatalf("Opaque(%d) has %d bytes", n, got)
		}
	}
}

// Each kind of floor gets an answer from each server repeatedly, and can be closed.
func TestFloor(t *testing.T) {
	for name, open := range map[string]func(ctx context.Context, servers, size int) (*Floor, error){"tcp": NewTCPFloor, "streams": NewStreamFloor} {
		f, err := open(t.Context(), 3, 100)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for range 5 {
			if err := f.Send(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := f.Close(); err != nil || len(f.answers) > 0 {
			t.Errorf("%s: %v, and %d answers too many", name, err, len(f.answers))
		}
	}
}

// In each variant, both small and large operations get back what they sent.
func TestBeside(t *testing.T) {
	for name, open := range map[string]func() (*Beside, error){
		"raw":   func() (*Beside, error) { return NewRawBeside(t.Context(), 10, 6<<20, false) },
		"apart": func() (*Beside, error) { return NewRawBeside(t.Context(), 10, 6<<20, true) },
		"tcp":   func() (*Beside, error) { return NewTCPBeside(t.Context(), 10, 1<<20, 2) },
	} {
		b, err := open()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for range 3 {
			if err := errors.Join(b.Small(t.Context()), b.Large(t.Context())); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := b.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
