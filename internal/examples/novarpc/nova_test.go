//go:build unix

package novarpc

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/programtest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// step is a message that the program says it sends, with the lines that result from it.
type step struct {
	verb, queue, method string
	// runs are the hosts that say that they run the method. reports are the hosts that report it.
	// Both are sorted.
	runs, reports []string
	// rest is everything else.
	rest []string
}

var (
	sendLine   = regexp.MustCompile(`^rpc\.(\w+)\(ctxt, "([^"]+)", \{"method":"(\w+)".*\}\)$`)
	runLine    = regexp.MustCompile(`^    (\S+) runs (\w+) for alice$`)
	reportLine = regexp.MustCompile(`^  (\S+) reports running_instances=(\d+), in request req-1$`)
)

// parse parses the program's output, after the lines before its first message.
func parse(t *testing.T, output string) (before []string, steps []*step) {
	t.Helper()
	for line := range strings.Lines(output) {
		line = strings.TrimSuffix(line, "\n")
		if m := sendLine.FindStringSubmatch(line); m != nil {
			steps = append(steps, &step{verb: m[1], queue: m[2], method: m[3]})
			continue
		}
		if line == "" || strings.HasPrefix(line, "# ") {
			continue
		}
		if len(steps) == 0 {
			before = append(before, line)
			continue
		}
		s := steps[len(steps)-1]
		if m := runLine.FindStringSubmatch(line); m != nil {
			s.runs = append(s.runs, m[1])
			if m[2] != s.method {
				t.Errorf("%s runs %s, and the message is %s", m[1], m[2], s.method)
			}
		} else if m := reportLine.FindStringSubmatch(line); m != nil {
			s.reports = append(s.reports, m[1]+" "+m[2])
		} else {
			s.rest = append(s.rest, line)
		}
	}
	for _, s := range steps {
		slices.Sort(s.runs)
		slices.Sort(s.reports)
	}
	return before, steps
}

// expected is the expected output of the scheduler, with these workers and the worker that it
// chooses for a new instance. Workers in other processes print separately.
type expected struct {
	workers   []string
	before    []int // how many instances each worker runs
	chosen    int
	elsewhere bool
}

func (want expected) check(t *testing.T, steps []*step) {
	t.Helper()
	n := len(want.workers)
	if len(steps) != n+4 {
		t.Fatalf("there are %d steps, not %d", len(steps), n+4)
	}
	reports := make([]string, 0, n)
	for i, host := range want.workers {
		reports = append(reports, fmt.Sprint(host, " ", want.before[i]))
	}
	chosen := want.workers[want.chosen]
	queue, running := "compute."+chosen, want.before[want.chosen]+1

	want.step(t, steps[0], step{
		verb: "fanout_cast", queue: "compute", method: "publish_service_capabilities", runs: want.workers, reports: reports,
		rest: []string{fmt.Sprintf("  accepted by %d, failed at 0, skipped for their version 0", n)},
	})
	answered := make([]string, 0, n)
	for _, s := range steps[1 : 1+n] {
		host := uptimeOf(t, s)
		answered = append(answered, host)
		want.step(t, s, step{verb: "call", queue: "compute", method: "get_host_uptime", runs: []string{host}, rest: s.rest})
	}
	slices.Sort(answered)
	if !slices.Equal(answered, want.workers) {
		t.Errorf("the calls for any server were answered by %q, want each worker", answered)
	}
	s := steps[1+n]
	want.step(t, s, step{verb: "call", queue: queue, method: "get_host_uptime", runs: []string{chosen}, rest: s.rest})
	if host := uptimeOf(t, s); host != chosen {
		t.Errorf("the call for %s was answered by %s", chosen, host)
	}
	want.step(t, steps[2+n], step{
		verb: "cast", queue: queue, method: "run_instance", runs: []string{chosen}, reports: []string{fmt.Sprint(chosen, " ", running)},
	})
	want.step(t, steps[3+n], step{
		verb: "multicall", queue: queue, method: "get_console_output", runs: []string{chosen},
		rest: []string{"  | Booting Linux", "  | Mounting /", fmt.Sprintf("  | instance-%d login:", running)},
	})
}

// step compares a step with the expected one.
func (want expected) step(t *testing.T, got *step, wanted step) {
	t.Helper()
	if want.elsewhere {
		wanted.runs = nil
	}
	if fmt.Sprintf("%q", *got) != fmt.Sprintf("%q", wanted) {
		t.Errorf("the step is\n%q\nwant\n%q", *got, wanted)
	}
}

// uptimeOf returns the host that answered a call of get_host_uptime.
func uptimeOf(t *testing.T, s *step) string {
	t.Helper()
	if len(s.rest) != 1 {
		t.Fatalf("the result of %s is %q", s.method, s.rest)
	}
	host, _, found := strings.Cut(strings.TrimSpace(s.rest[0]), " is up since ")
	if !found {
		t.Errorf("the result of %s is %q", s.method, s.rest[0])
	}
	return host
}

// The program runs as one process.
func TestOneProcess(t *testing.T) {
	test := func(t *testing.T, args ...string) {
		t.Helper()
		workers := []string{"compute1.example.org", "compute2.example.org", "compute3.example.org"}
		before, steps := parse(t, output(t, program(t, args...)))
		consume := make([]string, 0, len(workers))
		for _, host := range workers {
			consume = append(consume, host+` consumes "compute"`)
		}
		if !slices.Equal(before, consume) {
			t.Errorf("the output begins with %q, not with %q", before, consume)
		}
		expected{workers: workers, before: []int{0, 0, 0}}.check(t, steps)
	}
	programtest.OnEach(t, func(t *testing.T, url string) {
		t.Helper()
		test(t, "--transport", url)
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t)
	})
}

// Each worker and each scheduler is a process. When the second scheduler asks, the workers remember
// what the first one made them do.
func TestManyProcesses(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		t.Helper()
		workers := []string{"a.b", "a.b.c", "compute"} // a dot must have no special meaning
		processes := make([]*process, 0, len(workers))
		for _, host := range workers {
			processes = append(processes, startProcess(t, url, host))
		}
		for _, want := range []expected{
			{workers: workers, before: []int{0, 0, 0}, chosen: 0, elsewhere: true},
			{workers: workers, before: []int{1, 0, 0}, chosen: 1, elsewhere: true},
		} {
			before, steps := parse(t, output(t, program(t, "--transport", url, "--workers", "0")))
			if len(before) > 0 {
				t.Errorf("it begins with %q", before)
			}
			want.check(t, steps)
		}
		for i, printed := range stop(t, processes) {
			ran := map[string]int{}
			for line := range strings.Lines(printed) {
				m := runLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
				if m == nil || m[1] != workers[i] {
					t.Fatalf("%s prints %q", workers[i], line)
				}
				ran[m[2]]++
			}
			want := map[string]int{"publish_service_capabilities": 2, "get_host_uptime": 2}
			if i < 2 { // each was chosen by one of the schedulers
				want["get_host_uptime"]++
				want["run_instance"], want["get_console_output"] = 1, 1
			}
			if fmt.Sprint(ran) != fmt.Sprint(want) {
				t.Errorf("%s ran %v, not %v", workers[i], ran, want)
			}
		}
	})
}

func TestMisuse(t *testing.T) {
	t.Parallel()
	local := "local://" + filepath.Join(t.TempDir(), "registry")
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"x"}, "only flags"},
		{[]string{"--workers", "-1"}, "--workers is -1"},
		{[]string{"--workers", "0"}, "--transport local://"},
		{[]string{"--host", "h"}, "--transport local://"},
		{[]string{"--transport", "x"}, "scheme"},
		{[]string{"--transport", local, "--workers", "0"}, "no worker took the message"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			cmd := program(t, test.args...)
			out, err := cmd.CombinedOutput()
			if err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), test.says) {
				t.Errorf("%v: %s\nwant the exit code 1, and an output that says %q", err, out, test.says)
			}
		})
	}
}

// The transport comes from the environment if there is no flag.
func TestTransportFromEnvironment(t *testing.T) {
	t.Parallel()
	cmd := program(t, "--workers", "1")
	cmd.Env = append(cmd.Env, oslorpc.TransportURLVariable+"=local://"+filepath.Join(t.TempDir(), "registry"))
	if out := output(t, cmd); !strings.Contains(out, "accepted by 1") {
		t.Errorf("it prints %s", out)
	}
	cmd = program(t)
	cmd.Env = append(cmd.Env, oslorpc.TransportURLVariable+"=nonsense")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), `"nonsense"`) {
		t.Errorf("it prints %s, %v", out, err)
	}
}
