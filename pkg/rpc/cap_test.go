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
			c, err := rpc.ParseCap(test.cap, nil)
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
	none, err := rpc.ParseCap("", nil)
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
		c, err := rpc.ParseCap(text, nil)
		if err != nil || c.String() != want {
			t.Errorf("%q: got %v, %v, want %s", text, c, err, want)
		}
	}
}

func TestParseCapRefusesWhatIsNoVersion(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"1", "none", " ", "1.x", "Auto"} {
		c, err := rpc.ParseCap(text, nil)
		if err == nil || c != (rpc.Cap{}) {
			t.Errorf("%q: want an error and no cap, got %v, %v", text, c, err)
			continue
		}
		if got := err.Error(); !strings.HasPrefix(got, "version cap ") || !strings.Contains(got, "major.minor") {
			t.Errorf("%q: the message does not say what to do: %s", text, got)
		}
	}
}

func TestAliases(t *testing.T) {
	t.Parallel()
	aliases := map[string]string{"epoxy": "6.4", "caracal": "6.3", "broken": "six", "auto ": "1.0"}
	for text, want := range map[string]string{"epoxy": "epoxy (6.4)", "caracal": "caracal (6.3)", "6.4": "6.4", "auto": "auto", "": "none"} {
		c, err := rpc.ParseCap(text, aliases)
		if err != nil || c.String() != want {
			t.Errorf("%q: got %v, %v, want %s", text, c, err, want)
		}
	}
	if c, _ := rpc.ParseCap("epoxy", aliases); !c.Allows(version(t, "6.4")) || c.Allows(version(t, "6.5")) || c.Alias() != "epoxy" {
		t.Errorf("the alias does not cap: %v", c)
	}
	if c, _ := rpc.ParseCap("auto", nil); !c.IsAuto() || !c.Allows(version(t, "9.9")) {
		t.Errorf("auto forbids: %v", c)
	}
	for text, want := range map[string]string{"antilope": "caracal, epoxy", "broken": `"six"`} {
		if _, err := rpc.ParseCap(text, aliases); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v does not say %q", text, err, want)
		}
	}
}
