package cli

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"

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
		if got := ExitCode(fmt.Errorf("wrapped: %w", &rpc.Error{Kind: k})); got != want {
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
		{Usage("wrong"), 2},
		{fmt.Errorf("more: %w", Usage("wrong")), 2},
		{errors.Join(&rpc.Error{Kind: rpc.Remote}, errors.New("closing")), 5},
	} {
		if got := ExitCode(test.err); got != test.want {
			t.Errorf("%v: got %d, want %d", test.err, got, test.want)
		}
	}
}

func TestExitCodesAreDocumented(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	for _, e := range exits {
		if seen[e.code] {
			t.Errorf("the exit code %d appears twice", e.code)
		}
		seen[e.code] = true
		if line := fmt.Sprintf("%3d  %s\n", e.code, e.meaning); !strings.Contains(ExitHelp(), line) {
			t.Errorf("the help lacks %s:\n%s", line, ExitHelp())
		}
	}
	for _, e := range answerExits {
		if line := fmt.Sprintf("%3d  %s", e.code, e.meaning); !strings.Contains(AnswerHelp(), line) {
			t.Errorf("the help lacks %s:\n%s", line, AnswerHelp())
		}
	}
}

// If a command's exit code is its answer, an error does not look like an answer.
func TestExitCodesOfAnswers(t *testing.T) {
	t.Parallel()
	plain, answering := &cobra.Command{}, &cobra.Command{}
	MarkAnswering(answering)
	for _, test := range []struct {
		cmd  *cobra.Command
		err  error
		want int
	}{
		{plain, Usage("wrong"), ExitUsage},
		{answering, Usage("wrong"), ExitMisused},
		{answering, &rpc.Error{Kind: rpc.Unreachable}, ExitCannotTell},
		{answering, &rpc.Error{Kind: rpc.Canceled}, ExitInterrupted},
		{answering, Answer("NotYet", ExitNotYet, errors.New("not yet")), ExitNotYet},
		{nil, errors.New("early"), ExitUnexpected},
	} {
		if got := ExitCode(asAnswer(test.cmd, test.err)); got != test.want {
			t.Errorf("%v: exit code %d, want %d", test.err, got, test.want)
		}
	}
}
