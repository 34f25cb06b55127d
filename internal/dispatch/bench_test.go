package dispatch

import (
	"context"
	"strconv"
	"testing"
	"time"
)

func BenchmarkQueue(b *testing.B) {
	b.Run("worker free", func(b *testing.B) {
		q := openQueue(DefaultLimits)
		b.ReportAllocs()
		for b.Loop() {
			t := q.admit(100, nil, "")
			_ = t.wait(context.Background())
			t.done()
		}
	})
	b.Run("waiting", func(b *testing.B) { // each gets the worker of the one before
		q := openQueue(Limits{Workers: 1, Queue: 1, QueueBytes: 1000})
		running := q.admit(100, nil, "")
		b.ReportAllocs()
		for b.Loop() {
			t := q.admit(100, nil, "")
			running.done()
			_ = t.wait(context.Background())
			running = t
		}
		running.done()
	})
	b.Run("parallel", func(b *testing.B) {
		q := openQueue(DefaultLimits)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				t := q.admit(100, nil, "")
				_ = t.wait(context.Background())
				t.done()
			}
		})
	})
}

func BenchmarkWindow(b *testing.B) {
	ids := make([]string, 2*windowSize)
	for i := range ids {
		ids[i] = "0d6a1d8f3b4e4c559d0b6a51" + strconv.Itoa(i)
	}
	now := time.Now()
	b.Run("add", func(b *testing.B) { // into a full window
		w := newWindow()
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			w.add(ids[i%len(ids)], now)
		}
	})
	b.Run("repeat", func(b *testing.B) {
		w := newWindow()
		w.add("a", now)
		b.ReportAllocs()
		for b.Loop() {
			w.add("a", now)
		}
	})
	b.Run("add and forget", func(b *testing.B) {
		w := newWindow()
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			id := ids[i%len(ids)]
			w.add(id, now)
			w.forget(id)
		}
	})
}

func BenchmarkFind(b *testing.B) {
	table := NewTable([]Endpoint{
		offers("1.0", []string{"n"}, "foo"), offers("2.0", nil, "foo"), withFallback(offers("1.1", nil, "foo")), offers("1.4", nil, "foo", "bar"),
	}, WithPing())
	v := version("1.2")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := table.find("", v, "bar"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkServer(b *testing.B) {
	discard := func(string) error { return nil }
	newBench := func(b *testing.B) *Dispatcher {
		b.Helper()
		return newServer(b, DefaultLimits, map[string]*Method{"foo": returns("null")})
	}
	b.Run("call", func(b *testing.B) {
		s := newBench(b)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			_ = s.Call(context.Background(), request("foo", strconv.Itoa(i)), discard)
		}
	})
	b.Run("call parallel", func(b *testing.B) {
		s := newBench(b)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_ = s.Call(context.Background(), request("foo", ""), discard)
			}
		})
	})
	b.Run("cast", func(b *testing.B) {
		s := newBench(b)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			_ = s.Cast(context.Background(), request("foo", strconv.Itoa(i)))
		}
	})
}
