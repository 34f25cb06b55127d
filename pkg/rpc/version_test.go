package rpc_test

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		want rpc.Version
	}{
		{"1.0", rpc.Version{Major: 1}},
		{"0.0", rpc.Version{}},
		{"1.10", rpc.Version{Major: 1, Minor: 10}},
		{"3.4.5", rpc.Version{Major: 3, Minor: 4, Revision: 5}},
		{"1.23.0", rpc.Version{Major: 1, Minor: 23}},
		{"4294967295.4294967295.4294967295", rpc.Version{Major: math.MaxUint32, Minor: math.MaxUint32, Revision: math.MaxUint32}},
	} {
		t.Run(test.text, func(t *testing.T) {
			t.Parallel()
			got, err := rpc.ParseVersion(test.text)
			if err != nil || got != test.want {
				t.Errorf("got %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
}

func TestParseVersionRefusesOtherForms(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "1", ".", "..", "1.", ".1", "1.0.", ".1.0", "1..0", "1.0.0.9", "1.0.0.", // not two or three parts
		"1.a", "a.1", "1.0.a", "one", "1.0rc1", "v1.0", "1.0-1", "0x1.0", "1e1.0", "1_0.0", // not decimal
		"-1.0", "+1.0", "1.-0", "1.+0", " 1.0", "1.0 ", "1 .0", "1.0\n", "\t1.0", "1,0", // not plain
		"01.0", "1.00", "1.01", "1.0.00", "00.0", // superfluous zeros
		"4294967296.0", "1.4294967296", "1.0.4294967296", "1.99999999999999999999", // too large
		"１.０", "1.٣", // digits, but not ours
		"\xff.0", "1.0\x00", strings.Repeat("1", 10000) + ".0",
	} {
		t.Run(strconv.Quote(text[:min(len(text), 40)]), func(t *testing.T) {
			t.Parallel()
			got, err := rpc.ParseVersion(text)
			if err == nil || got != (rpc.Version{}) {
				t.Fatalf("want an error and no version, got %+v, %v", got, err)
			}
			for _, part := range []string{"malformed", "major.minor", `"1.4"`, strings.Trim(strconv.Quote(text[:min(len(text), 40)]), `"`)} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the message lacks %q: %v", part, err)
				}
			}
			if len(err.Error()) > 1000 {
				t.Errorf("the message repeats too much of what it was given: %d bytes", len(err.Error()))
			}
		})
	}
}

func TestVersionOrDefault(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]rpc.Version{"": {Major: 1}, "2.3": {Major: 2, Minor: 3}} {
		if got, err := rpc.VersionOrDefault(text); err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", text, got, err, want)
		}
	}
	if _, err := rpc.VersionOrDefault(" "); err == nil {
		t.Error("want an error for what is neither empty nor a version")
	}
}

func TestVersionTextForm(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]rpc.Version{
		"0.0":   {},
		"1.0":   {Major: 1},
		"1.2":   {Major: 1, Minor: 2},
		"1.2.3": {Major: 1, Minor: 2, Revision: 3},
		"1.0.1": {Major: 1, Revision: 1},
	} {
		if got := v.String(); got != want {
			t.Errorf("%+v: got %s, want %s", v, got, want)
		}
	}
}

func TestServes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		implemented, requested string
		want                   bool
	}{
		{"1.23", "1.23", true},
		{"1.24", "1.23", true},
		{"1.22", "1.23", false},
		{"2.23", "1.23", false},
		{"1.23", "2.23", false},
		{"1.23", "1.23.1", false},
		{"1.23.1", "1.23.2", false},
		{"1.23.2", "1.23.1", true},
		{"1.24", "1.23.1", true},
		{"1.23.0", "1.23", true},
		{"1.5.3", "1.4.9", true},
		{"1.5", "1.10", false},
		{"1.10", "1.5", true},
		{"1.5", "1.5.0", true},
		{"", "", true}, // both default to 1.0
		{"", "1.0", true},
		{"1.0", "", true},
		{"1.1", "", true},
		{"2.0", "", false},
		{"", "1.1", false},
		{"0.9", "1.0", false},
		{"0.9", "0.1", true},
	} {
		t.Run(test.implemented+" serves "+test.requested, func(t *testing.T) {
			t.Parallel()
			implemented, requested := version(t, test.implemented), version(t, test.requested)
			if got := implemented.Serves(requested); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// small returns all versions whose parts are 0, 1, 2 or the largest number.
func small() []rpc.Version {
	parts := []uint32{0, 1, 2, math.MaxUint32}
	all := make([]rpc.Version, 0, len(parts)*len(parts)*len(parts))
	for _, major := range parts {
		for _, minor := range parts {
			for _, revision := range parts {
				all = append(all, rpc.Version{Major: major, Minor: minor, Revision: revision})
			}
		}
	}
	return all
}

func TestServesAgreesWithUpstream(t *testing.T) {
	t.Parallel()
	for _, v := range small() {
		for _, w := range small() {
			if got, want := v.Serves(w), upstreamCompatible(v.String(), w.String()); got != want {
				t.Errorf("%v serves %v: got %v, want %v", v, w, got, want)
			}
		}
	}
}

func TestCompareIsATotalOrder(t *testing.T) {
	t.Parallel()
	all := small() // in order
	for i, v := range all {
		for j, w := range all {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := v.Compare(w); got != want {
				t.Errorf("%v compared to %v: got %d, want %d", v, w, got, want)
			}
			if v.Serves(w) && v.Compare(w) < 0 {
				t.Errorf("%v serves the later %v", v, w)
			}
		}
	}
}

func FuzzParseVersion(f *testing.F) {
	for _, seed := range []string{"1.0", "1.23.4", "", "1", "1.0.0.9", "01.0", "1.a", "-1.0", "4294967296.0", "1.0.", "１.０"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := rpc.ParseVersion(text)
		if got, want := err == nil, wellFormed(text); got != want {
			t.Fatalf("%q: parsed is %v, want %v (%v)", text, got, want, err)
		}
		if err != nil {
			if v != (rpc.Version{}) {
				t.Errorf("%q: a version in spite of an error: %+v", text, v)
			}
			return
		}
		if again, err := rpc.ParseVersion(v.String()); err != nil || again != v {
			t.Errorf("%q: its text %q is read as %+v, %v", text, v, again, err)
		}
		if back := v.String(); back != text && back+".0" != text {
			t.Errorf("%q: written as %q", text, back)
		}
	})
}

func FuzzVersions(f *testing.F) {
	f.Add(uint32(1), uint32(23), uint32(0), uint32(1), uint32(23), uint32(1))
	f.Add(uint32(1), uint32(10), uint32(0), uint32(1), uint32(9), uint32(7))
	f.Add(uint32(2), uint32(0), uint32(0), uint32(1), uint32(math.MaxUint32), uint32(0))
	f.Fuzz(func(t *testing.T, a1, a2, a3, b1, b2, b3 uint32) {
		a, b := rpc.Version{Major: a1, Minor: a2, Revision: a3}, rpc.Version{Major: b1, Minor: b2, Revision: b3}
		if got, want := a.Serves(b), upstreamCompatible(a.String(), b.String()); got != want {
			t.Errorf("%v serves %v: got %v, want %v", a, b, got, want)
		}
		if a.Compare(b) != -b.Compare(a) || (a.Compare(b) == 0) != (a == b) {
			t.Errorf("%v and %v: compared %d and %d", a, b, a.Compare(b), b.Compare(a))
		}
		if a.Serves(b) && b.Serves(a) && a != b {
			t.Errorf("%v and %v serve each other", a, b)
		}
	})
}

// upstreamCompatible is a literal translation of oslo.messaging's version_is_compatible, as a
// reference.
func upstreamCompatible(implemented, requested string) bool {
	parts, implementedParts := strings.Split(requested, "."), strings.Split(implemented, ".")
	number := func(parts []string, i int) uint64 {
		if i >= len(parts) {
			return 0
		}
		n, err := strconv.ParseUint(parts[i], 10, 64)
		if err != nil {
			panic(err)
		}
		return n
	}
	if number(parts, 0) != number(implementedParts, 0) {
		return false
	}
	if number(parts, 1) > number(implementedParts, 1) {
		return false
	}
	if number(parts, 1) == number(implementedParts, 1) && number(parts, 2) > number(implementedParts, 2) {
		return false
	}
	return true
}

// wellFormed decides in another way than ParseVersion whether a text is a version.
func wellFormed(text string) bool {
	parts := strings.Split(text, ".")
	for _, part := range parts {
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil || strconv.FormatUint(n, 10) != part {
			return false
		}
	}
	return len(parts) == 2 || len(parts) == 3
}

func version(t *testing.T, text string) rpc.Version {
	t.Helper()
	v, err := rpc.VersionOrDefault(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
