package header

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestMain(m *testing.M) { leak.Main(m) }

var printable = func() string {
	var all strings.Builder
	for c := byte(0x20); c <= 0x7e; c++ {
		all.WriteByte(c)
	}
	return all.String()
}()

// travel returns the request that the receiver decodes.
func travel(t *testing.T, md metadata.MD, r *Request) (Request, error) {
	t.Helper()
	ctx := metadata.NewOutgoingContext(t.Context(), md)
	sent, _ := metadata.FromOutgoingContext(Write(ctx, r))
	for key, values := range sent {
		// gRPC sends no other values.
		if other := strings.Trim(strings.Join(values, ""), printable); other != "" && !strings.HasSuffix(key, "-bin") {
			t.Errorf("the header %s has %q", key, values)
		}
	}
	return Read(metadata.NewIncomingContext(t.Context(), sent))
}

func TestRequestArrivesAsItWas(t *testing.T) {
	t.Parallel()
	for _, want := range []Request{
		{},
		{HasVersion: true, Version: rpc.Version{Major: 1, Minor: 2, Revision: 3}},
		{Exchange: "a, b", Topic: "größe", Server: "100 %", ID: "id", Context: "\x00\xff"},
		{Instance: " i ", ID: "id", Missed: 1500 * time.Millisecond},
		{ID: "id", Missed: 850*time.Microsecond + 7},
		{ID: "id", Missed: 7},
	} {
		if got, err := travel(t, nil, &want); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}

// TestHeadersThatDoNotMatter sends headers that are ignored.
func TestHeadersThatDoNotMatter(t *testing.T) {
	t.Parallel()
	sent := Request{Instance: "i", Server: "s", Topic: "t", Missed: time.Second, Report: true}
	if got, err := travel(t, nil, &sent); err != nil || got != (Request{Instance: "i", Server: "s", Topic: "t"}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestReportIsAskedFor(t *testing.T) {
	t.Parallel()
	for _, want := range []bool{true, false} {
		sent, _ := metadata.FromOutgoingContext(Write(t.Context(), &Request{Report: want}))
		if got := WantsReport(metadata.NewIncomingContext(t.Context(), sent)); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

// The headers of the request that a handler serves describe this request, and not the calls that
// the handler makes.
func TestOldHeadersAreReplaced(t *testing.T) {
	t.Parallel()
	old := Request{
		HasVersion: true, Version: rpc.Version{Major: 1, Minor: 9}, Report: true, Exchange: "e", Topic: "t", Server: "s", Instance: "i",
		ID: "id", Context: "{}", Missed: time.Second,
	}
	passedOn, _ := metadata.FromOutgoingContext(Write(t.Context(), &old))
	passedOn.Set("other", "kept")
	for _, want := range []Request{{Server: "new"}, {}} {
		if got, err := travel(t, passedOn, &want); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	sent, _ := metadata.FromOutgoingContext(Write(metadata.NewOutgoingContext(t.Context(), passedOn), &Request{}))
	if len(sent) != 1 || sent.Get("other") == nil {
		t.Errorf("others: %v", sent)
	}
	if passedOn.Get(Version)[0] != "1.9" {
		t.Error("the caller's metadata was changed")
	}
}

func TestHeadersAreAmended(t *testing.T) {
	t.Parallel()
	old := metadata.Pairs(Version, "1.9", Report, "1", Server, "old", Topic, "kept", Instance, "i", ID, "id", Missed, "1s", "other", "kept")
	ctx := metadata.NewOutgoingContext(t.Context(), old)
	for name, test := range map[string]struct {
		ctx  context.Context
		want metadata.MD
	}{
		"passed on":       {ctx, metadata.Pairs(Server, "new", Topic, "kept", "other", "kept")},
		"of this message": {Complete(ctx), metadata.Pairs(Server, "new", Topic, "kept", Instance, "i", ID, "id", Missed, "1s", "other", "kept")},
		"without any":     {t.Context(), metadata.Pairs(Server, "new")},
	} {
		sent, _ := metadata.FromOutgoingContext(Amend(test.ctx, &Request{Server: "new"}))
		if !maps.EqualFunc(sent, test.want, slices.Equal[[]string]) {
			t.Errorf("%s: got %v, want %v", name, sent, test.want)
		}
	}
	if Amend(t.Context(), &Request{}) != t.Context() {
		t.Error("nothing to say, and the context is another")
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	md := metadata.Pairs("a", "bc", "a", "", "x-bin", "123456", Context, "not counted")
	if got, want := Size(md), (1+2+32)+(1+32)+(5+8+32); got != want {
		t.Errorf("got %d, want %d", got, want)
	}
	if got := Size(nil); got != 0 {
		t.Errorf("nothing: %d", got)
	}
}

func TestMalformedHeadersAreNamed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ key, value, want string }{
		{Version, "1", "malformed"}, {Version, "", "is empty"}, {Topic, "", "is empty"}, {Server, "%zz", "percent-encode"},
		{Exchange, "%ff", "percent-encode"}, {Instance, "\xff", "percent-encode"},
		{Missed, "soon", "1.5s"}, {Missed, "-1s", "1.5s"},
	} {
		pairs := []string{test.key, test.value}
		if test.key == Missed {
			pairs = append(pairs, ID, "id")
		}
		_, err := Read(metadata.NewIncomingContext(t.Context(), metadata.Pairs(pairs...)))
		if err == nil || !strings.Contains(err.Error(), test.key) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s=%q: got %v", test.key, test.value, err)
		}
	}
	_, err := Read(metadata.NewIncomingContext(t.Context(), metadata.Pairs(ID, "a", ID, "b")))
	if err == nil || !strings.Contains(err.Error(), "2 times") {
		t.Errorf("twice: got %v", err)
	}
}

func TestVersionsOfATrailer(t *testing.T) {
	t.Parallel()
	text := FormatVersions([]rpc.Version{{Major: 1, Minor: 10}, {Major: 2, Revision: 1}})
	got, ok := ReadImplemented(metadata.Pairs(Implemented, text))
	if text != "1.10,2.0.1" || !ok || FormatVersions(got) != text {
		t.Errorf("%q: got %v, %v", text, got, ok)
	}
	if got, ok := ReadImplemented(metadata.Pairs(Implemented, "")); !ok || len(got) != 0 {
		t.Errorf("none: got %v, %v", got, ok)
	}
	for _, md := range []metadata.MD{nil, metadata.Pairs(Implemented, "1"), metadata.Pairs(Implemented, "1.0", Implemented, "1.0")} {
		if got, ok := ReadImplemented(md); ok {
			t.Errorf("%v: got %v", md, got)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("1.2", "a%20b", "1.0,2.1")
	f.Add("", "%", ",")
	f.Fuzz(func(t *testing.T, version, name, versions string) {
		md := metadata.Pairs(Version, version, Topic, name, Server, Escape(name))
		if r, err := Read(metadata.NewIncomingContext(t.Context(), md)); err == nil {
			if again, err := travel(t, nil, &r); err != nil || again != r || r.Server != name {
				t.Errorf("%+v became %+v, %v", r, again, err)
			}
		}
		if v, err := ParseVersions(versions); err == nil {
			if again, err := ParseVersions(FormatVersions(v)); err != nil || len(again) != len(v) {
				t.Errorf("%v became %v, %v", v, again, err)
			}
		}
	})
}

// Headers decode to the same request whether they are read from the context or from the map in the
// context.
func TestArrivedHeaders(t *testing.T) {
	t.Parallel()
	for _, md := range []metadata.MD{
		{},
		metadata.Pairs(Instance, "i", ID, "%20", Missed, "1s", OrderKey, "k", Version, "1.2", Context, "{}"),
		metadata.Pairs(Exchange, "e", Topic, "gr%C3%B6%C3%9Fe", Server, "s"),
		metadata.Pairs(Server, "a", Server, "b"),
		metadata.Pairs(Version, "one"),
	} {
		ctx := metadata.NewIncomingContext(t.Context(), md)
		want, wantErr := Read(ctx)
		for name, ctx := range map[string]context.Context{
			"arrived": Arrive(t.Context(), md), // without any other
			"unknown": ctx,
		} {
			got, err := Arrived(ctx).Read()
			if got != want || (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
				t.Errorf("%s: got %+v, %v of %v, want %+v, %v", name, got, err, md, want, wantErr)
			}
		}
	}
}

// The headers of a call cost one allocation in addition to gRPC's own.
func TestWritingAllocates(t *testing.T) {
	r := Request{HasVersion: true, Version: rpc.Version{Major: 1, Minor: 2}, Instance: "i", Context: "{}"}
	ours := testing.AllocsPerRun(100, func() { Write(t.Context(), &r) })
	grpcs := testing.AllocsPerRun(100, func() { metadata.AppendToOutgoingContext(t.Context(), Version, "1.2", Instance, "i", Context, "{}") })
	if ours > grpcs+1 {
		t.Errorf("%v allocations, want those of gRPC, %v, and one for the version", ours, grpcs)
	}
}
