package main

import (
	"context"
	"fmt"
	"slices"
	"testing"
)

func TestTranscript(t *testing.T) {
	t.Parallel()
	all := newTranscript()
	one, two := all.of("one"), all.of("two")
	fmt.Fprint(one, "a\nb")
	fmt.Fprint(two, "c\n")
	fmt.Fprint(one, "b\n\n")
	lines, _ := all.since(0)
	if want := []line{{"one", "a"}, {"two", "c"}, {"one", "bb"}, {"one", ""}}; !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
	if later, _ := all.since(3); len(later) != 1 || all.end() != 4 {
		t.Errorf("got %q and the end %d", later, all.end())
	}
}

func TestTranscriptIsWaitedFor(t *testing.T) {
	t.Parallel()
	all := newTranscript()
	fmt.Fprint(all.of("one"), "a\n")
	found := make(chan []line)
	go func() {
		lines, _ := all.find(t.Context(), 1, 2, func(l line) bool { return l.text == "a" })
		found <- lines
	}()
	fmt.Fprint(all.of("two"), "a\nb\na\na\n")
	if lines := <-found; !slices.Equal(lines, []line{{"two", "a"}, {"two", "a"}}) {
		t.Errorf("got %q", lines)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := all.find(ctx, 0, 1, func(l line) bool { return l.text == "z" }); err == nil {
		t.Error("want an error when the context ends")
	}
}
