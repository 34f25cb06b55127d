package main

import (
	"errors"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/oslorpc/oslorpc/examples/upgrade"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestCheck passes answers that must not occur in an upgrade.
func TestCheck(t *testing.T) {
	for _, test := range []struct{ steady, release, version, arg2, says string }{
		{"", "1.1", "1.1", "", ""},
		{"", "1.2", "1.1", "default", ""},
		{"", "1.2", "1.2", "b", ""},
		{"1.2", "1.2", "1.2", "b", ""},
		{"", "1.1", "1.2", "b", "does not implement"},
		{"1.1", "1.2", "1.2", "b", "which is the cap"},
		{"1.2", "1.2", "1.1", "default", "which is the cap"},
		{"", "1.1", "1.1", "b", "with an arg2 that is not"},
		{"", "1.2", "1.2", "default", "with an arg2 that is not"},
		{"", "1.2", "", "", "malformed"},
		{"", "", "1.1", "", "malformed"},
	} {
		want, _ := rpc.ParseVersion(test.steady)
		err := (&tally{want: want}).check(upgrade.Answer{Release: test.release, Version: test.version, Arg2: test.arg2})
		if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

// TestFailures checks that failures are counted, and that the program ends with the first one.
func TestFailures(t *testing.T) {
	l := &load{cancel: func() {}, all: tally{at: map[string]int{}}, release: map[string]string{}}
	first, second := errors.New("the first"), errors.New("the second")
	for _, err := range []error{nil, first, second} {
		l.note(upgrade.Answer{Version: "1.1"}, err)
		l.all.add(upgrade.Answer{Version: "1.1"}, err)
	}
	if s := sum(&l.all); s.calls != 3 || s.failed != 2 || s.atOld != 1 || s.atNew != 0 {
		t.Errorf("counted %+v", s)
	}
	if err := l.stop(); !errors.Is(err, first) {
		t.Errorf("it ends with %v", err)
	}
}

// TestCeiling compares the cap with the rule in its documentation.
func TestCeiling(t *testing.T) {
	f := &fleet{}
	for _, test := range []struct{ releases, version, holders string }{
		{"1.1 1.1 1.1 1.1 1.1", "1.1", "node1 node2 node3 node4 node5"},
		{"- 1.1 1.1 1.2 1.2", "1.1", "node2 node3"},
		{"1.2 1.2 1.2 1.2 -", "1.2", "node1 node2 node3 node4"},
		{"1.2 1.2 1.2 1.2 1.1", "1.1", "node5"},
	} {
		for i, release := range strings.Fields(test.releases) {
			f.servers[i] = nil
			if release != "-" {
				f.servers[i] = &process{release: release}
			}
		}
		version, holders := f.ceiling()
		if version.String() != test.version || len(holders) != len(strings.Fields(test.holders)) {
			t.Errorf("%s: %s, %v", test.releases, version, holders)
		}
		for name := range strings.FieldsSeq(test.holders) {
			if !holders[name] {
				t.Errorf("%s: %s does not hold it", test.releases, name)
			}
		}
	}
}
