package conformance

import (
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// answer is the answer to the question whether versions are compatible.
type answer string

const (
	yes       answer = "compatible"
	no        answer = "incompatible"
	malformed answer = "malformed"
)

const (
	absentIsDefault = "upstream's function takes None for `serves everything` and for `asks for nothing`, while its server reads both as 1.0; " +
		"here an absent version counts as 1.0 everywhere"
	emptyIsAbsent = "upstream fails on an empty version with a raw error; here it is an absent one"
	strict        = "upstream parses a version only as far as it compares, so a malformed version may pass or fail; here it is an error at once"
)

// compatible asks like a server: can it serve the requested version with the version that it
// implements, if it has one?
func compatible(implemented, requested string) answer {
	i, err := rpc.VersionOrDefault(implemented)
	if err != nil {
		return malformed
	}
	r, err := rpc.VersionOrDefault(requested)
	if err != nil {
		return malformed
	}
	if i.Serves(r) {
		return yes
	}
	return no
}

type versions struct {
	row

	implemented, requested string
	want                   answer
}

func (v versions) check(t *testing.T) {
	if got := compatible(v.implemented, v.requested); got != v.want {
		t.Errorf("%q asked for %q is %s, want %s", v.implemented, v.requested, got, v.want)
	}
	if v.implemented == "" || v.requested == "" || v.want == malformed {
		return
	}
	limit, err := rpc.ParseCap(v.implemented, nil)
	if err != nil {
		t.Fatal(err)
	}
	requested, err := rpc.ParseVersion(v.requested)
	if err != nil {
		t.Fatal(err)
	}
	if limit.Allows(requested) != (v.want == yes) {
		t.Errorf("a cap of %s and a server of that version differ about %s", limit, requested)
	}
}

func TestVersions(t *testing.T) {
	each(t, "V", 10, nil, []versions{
		{row{id: "V1"}, "1.23", "1.23", yes},
		{row{id: "V2"}, "1.24", "1.23", yes},
		{row{id: "V3"}, "1.22", "1.23", no},
		{row{id: "V4"}, "2.23", "1.23", no},
		{row{id: "V5"}, "1.23", "2.23", no},
		{row{id: "V6"}, "1.23", "1.23.1", no},
		{row{id: "V7"}, "1.23.1", "1.23.2", no},
		{row{id: "V8"}, "1.23.2", "1.23.1", yes},
		{row{id: "V9"}, "1.24", "1.23.1", yes},
		{row{id: "V10"}, "1.23.0", "1.23", yes},
	}, func(t *testing.T, v versions) { v.check(t) })
}

func TestVersionsExtra(t *testing.T) {
	each(t, "VX", 12, nil, []versions{
		{row{id: "VX1"}, "", "", yes},
		{row{id: "VX2"}, "", "1.0", yes},
		{row{"VX3", absentIsDefault}, "1.0", "", yes},
		{row{id: "VX4"}, "1.5.3", "1.4.9", yes},
		{row{id: "VX5"}, "1.5", "1.10", no},
		{row{id: "VX6"}, "1.10", "1.5", yes},
		{row{id: "VX7"}, "1.5", "1.5.0", yes},
		{row{"VX8", strict}, "1.0", "1.0.0.9", malformed},
		{row{"VX9", strict}, "2", "1", malformed},
		{row{id: "VX10a"}, "1", "1.0", malformed},
		{row{id: "VX10b"}, "1.0", "1", malformed},
		{row{"VX11a", emptyIsAbsent}, "", "1.0", yes},
		{row{"VX11b", emptyIsAbsent}, "1.0", "", yes},
		{row{id: "VX11c"}, "1.a", "1.0", malformed},
		{row{id: "VX11d"}, "1.0", "1.a", malformed},
		{row{id: "VX11e"}, "1.0.", "1.0", malformed},
		{row{id: "VX11f"}, "1.0", "1.0.", malformed},
		{row{id: "VX12a"}, "1.5", "1.5.a", malformed},
		{row{"VX12b", strict}, "1.5", "1.4.a", malformed},
		{row{"VX12c", strict}, "2.5", "1.a", malformed},
	}, func(t *testing.T, v versions) { v.check(t) })
}
