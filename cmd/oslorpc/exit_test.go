package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestEveryKindHasOneExitCode(t *testing.T) {
	t.Parallel()
	codes := map[rpc.Kind]int{}
	for _, e := range exits {
		for _, k := range e.kinds {
			if before, twice := codes[k]; twice {
				t.Errorf("%s has the exit codes %d and %d", k.Name(), before, e.code)
			}
			codes[k] = e.code
		}
	}
	for k := rpc.Unknown; !strings.HasPrefix(k.Name(), "Kind("); k++ {
		want, known := codes[k]
		if !known {
			t.Errorf("%s has no exit code", k.Name())
		}
		if got := exitCode(fmt.Errorf("wrapped: %w", &rpc.Error{Kind: k})); got != want {
			t.Errorf("%s: exit code %d, want %d", k.Name(), got, want)
		}
	}
}

func TestExitCodesOfOtherErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want int
	}{
		{errors.New("disk full"), 1},
		{&rpc.Error{Kind: rpc.Invalid + 100}, 1},
		{usage("wrong"), 2},
		{fmt.Errorf("more: %w", usage("wrong")), 2},
		{errors.Join(&rpc.Error{Kind: rpc.Remote}, errors.New("closing")), 5},
	} {
		if got := exitCode(test.err); got != test.want {
			t.Errorf("%v: got %d, want %d", test.err, got, test.want)
		}
	}
}

func TestExitCodesAreDocumented(t *testing.T) {
	t.Parallel()
	help := runWith("", "--help")
	wantCode(t, help, 0)
	seen := map[int]bool{}
	for _, e := range exits {
		if seen[e.code] {
			t.Errorf("the exit code %d is there twice", e.code)
		}
		seen[e.code] = true
		if line := fmt.Sprintf(`(?m)^ +%d  %s$`, e.code, regexp.QuoteMeta(e.meaning)); !regexp.MustCompile(line).MatchString(help.out) {
			t.Errorf("the help lacks %s:\n%s", line, help.out)
		}
	}
}
