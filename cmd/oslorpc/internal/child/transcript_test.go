package child

import (
	"context"
	"fmt"
	"slices"
	"testing"
)

func TestTranscript(t *testing.T) {
	t.Parallel()
	all := NewTranscript()
	one, two := all.Of("one"), all.Of("two")
	fmt.Fprint(one, "a\nb")
	fmt.Fprint(two, "c\n")
	fmt.Fprint(one, "b\n\n")
	lines, _ := all.since(0)
	if want := []Line{{"one", "a"}, {"two", "c"}, {"one", "bb"}, {"one", ""}}; !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
	if later, _ := all.since(3); len(later) != 1 || all.End() != 4 {
		t.Errorf("got %q and the end %d", later, all.End())
	}
}

func TestTranscriptIsWaitedFor(t *testing.T) {
	t.Parallel()
	all := NewTranscript()
	fmt.Fprint(all.Of("one"), "a\n")
	found := make(chan []Line)
	go func() {
		lines, _ := all.Find(t.Context(), 1, 2, func(l Line) bool { return l.Text == "a" })
		found <- lines
	}()
	fmt.Fprint(all.Of("two"), "a\nb\na\na\n")
	if lines := <-found; !slices.Equal(lines, []Line{{"two", "a"}, {"two", "a"}}) {
		t.Errorf("got %q", lines)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := all.Find(ctx, 0, 1, func(l Line) bool { return l.Text == "z" }); err == nil {
		t.Error("want an error when the context ends")
	}
}
