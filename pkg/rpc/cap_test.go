package rpc_test

import (
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestCapAllows(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		cap, version string
		want         bool
	}{
		{"", "", true},
		{"", "7.9.1", true},
		{"1.1", "1.0", true},
		{"1.1", "1.1", true},
		{"1.0", "1.1", false},
		{"2.0", "", false}, // no version counts as 1.0
		{"1.0", "", true},
		{"2.0", "1.9", false},
		{"1.9", "2.0", false},
		{"1.4.2", "1.4.2", true},
		{"1.4.2", "1.4.3", false},
		{"1.4", "1.4.1", false},
		{"1.4", "1.3.9", true},
		{"0.0", "0.0", true},
		{"0.0", "1.0", false},
	} {
		t.Run(test.cap+" allows "+test.version, func(t *testing.T) {
			t.Parallel()
			c, err := rpc.ParseCap(test.cap)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Allows(version(t, test.version)); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestZeroCapIsNoCap(t *testing.T) {
	t.Parallel()
	none, err := rpc.ParseCap("")
	if err != nil || none != (rpc.Cap{}) {
		t.Errorf("got %v, %v", none, err)
	}
	for _, v := range small() {
		if !none.Allows(v) {
			t.Errorf("no cap forbids %v", v)
		}
	}
}

func TestCapTextForm(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "none", "1.4": "1.4", "1.4.0": "1.4", "1.4.2": "1.4.2", "0.0": "0.0"} {
		c, err := rpc.ParseCap(text)
		if err != nil || c.String() != want {
			t.Errorf("%q: got %v, %v, want %s", text, c, err, want)
		}
	}
}

func TestParseCapRefusesWhatIsNoVersion(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"1", "none", "auto", " ", "1.x"} {
		c, err := rpc.ParseCap(text)
		if err == nil || c != (rpc.Cap{}) {
			t.Errorf("%q: want an error and no cap, got %v, %v", text, c, err)
			continue
		}
		if got := err.Error(); !strings.HasPrefix(got, "version cap: ") || !strings.Contains(got, "major.minor") {
			t.Errorf("%q: the message does not say what to do: %s", text, got)
		}
	}
}
