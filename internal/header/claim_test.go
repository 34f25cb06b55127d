package header

import (
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"
)

func TestContradiction(t *testing.T) {
	t.Parallel()
	said := Request{Exchange: "e", Topic: "größe", Instance: "b.1", ID: "7"}
	for _, test := range []struct {
		headers metadata.MD
		want    []string // in the error; none for no error
	}{
		{metadata.MD{}, nil},
		{metadata.Pairs("user-agent", "x", "topic", "other"), nil},
		{metadata.Pairs(Exchange, "e", Topic, "gr%C3%B6%C3%9Fe", Instance, "b.1", ID, "7", Version, "1.2"), nil},
		{metadata.Pairs(Report, "1", "oslorpc-unknown", "x", Context, "{}"), nil},
		{metadata.Pairs(Topic, "other"), []string{Topic, `"other"`, `"größe"`}},
		{metadata.Pairs(Exchange, "E"), []string{Exchange, `"E"`, `"e"`}},
		{metadata.Pairs(Version, "1.02"), []string{Version, `"1.02"`, `"1.2"`}},
		{metadata.Pairs(Instance, "b.2"), []string{Instance, `"b.2"`, `"b.1"`}},
		{metadata.Pairs(ID, "8"), []string{ID, `"8"`, `"7"`}},
		{metadata.Pairs(Server, "s"), []string{Server, `"s"`, "does not set it"}},
		{metadata.Pairs(OrderKey, "k"), []string{OrderKey, `"k"`, "does not set it"}},
		{metadata.Pairs(Server, ""), []string{Server, "empty"}},
		{metadata.Pairs(Topic, "größe", Topic, "größe"), []string{Topic, "2 times"}},
		{metadata.Pairs(Topic, "%"), []string{Topic, "percent-encode"}},
	} {
		err := Contradiction(Note(t.Context(), test.headers), &said, "1.2")
		if (err == nil) != (test.want == nil) {
			t.Errorf("%v: %v, want %q", test.headers, err, test.want)
			continue
		}
		for _, part := range test.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v: no %s in %v", test.headers, part, err)
			}
		}
	}
}

// Only headers by which proxies route bind a session to a single target.
func TestRouted(t *testing.T) {
	t.Parallel()
	for want, md := range map[string]metadata.MD{
		"": metadata.Pairs(ID, "7", Context, "{}", "oslorpc-unknown", "x"), Topic: metadata.Pairs(Topic, "t"), Version: metadata.Pairs(Version, "1.0"),
	} {
		if got := Routed(Note(t.Context(), md)); got != want {
			t.Errorf("%v: got %q", md, got)
		}
	}
}

func TestDisagreement(t *testing.T) {
	t.Parallel()
	ctx := Note(t.Context(), metadata.Pairs(Topic, "t"))
	if err := Disagreement(ctx, Topic, "other"); err == nil || !strings.Contains(err.Error(), Topic) {
		t.Errorf("got %v", err)
	}
	for _, said := range []string{"t", ""} {
		if err := Disagreement(ctx, Topic, said); err != nil {
			t.Error(err)
		}
	}
}

// A request without our headers, like requests of clients of this library, causes no allocations.
func TestRequestsWithoutHeadersAllocateNothing(t *testing.T) {
	md := metadata.Pairs(":authority", "localhost", "content-type", "application/grpc", "user-agent", "a grpc-go/1.85")
	ctx, said := t.Context(), Request{Topic: "t"}
	n := testing.AllocsPerRun(100, func() {
		if err := Contradiction(Note(ctx, md), &said, ""); err != nil {
			t.Error(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkContradictionNone(b *testing.B) {
	md := metadata.Pairs(":authority", "localhost", "content-type", "application/grpc", "user-agent", "a grpc-go/1.85")
	said := Request{Topic: "t"}
	for b.Loop() {
		_ = Contradiction(Note(b.Context(), md), &said, "")
	}
}
