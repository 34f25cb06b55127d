//go:build linux

package lab_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/lab/check"
	"github.com/oslorpc/oslorpc/internal/lab/history"
	"github.com/oslorpc/oslorpc/internal/lab/role"
	"github.com/oslorpc/oslorpc/internal/lab/scenario"
	"github.com/oslorpc/oslorpc/internal/lab/world"
	"github.com/oslorpc/oslorpc/internal/leak"
)

func TestMain(m *testing.M) {
	role.Main()
	leak.Main(m)
}

// seed returns the value of OSLORPC_LAB_SEED, which a failure prints, or an arbitrary seed.
func seed(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("OSLORPC_LAB_SEED")
	if text == "" {
		return 1
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// dir returns the directory of a history. The directory stays if the test fails.
func dir(t *testing.T) string {
	t.Helper()
	made, err := os.MkdirTemp("", "oslorpc-lab-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			_ = os.RemoveAll(made)
		}
	})
	return filepath.Join(made, "history")
}

// The short form of the laboratory does the same as `make lab` on a small scale.
func TestShortForm(t *testing.T) {
	for _, s := range scenario.All() {
		if !s.Short {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			r := s.Perform(t.Context(), dir(t), seed(t), true)
			if reason, skipped := r.Skipped(); skipped {
				t.Skip(reason)
			}
			t.Log(r)
			if !r.Passed() {
				t.Errorf("\n%s", r.Details())
			}
		})
	}
}

// Servers and clients that break a promise on purpose are detected by the same processes, files and
// checks that detect a real fault.
func TestSabotageIsFound(t *testing.T) {
	for _, c := range []struct {
		sabotage role.Sabotage
		promises []string
		forms    []history.Form
	}{
		{role.RunTwice, []string{check.AtMostOnce}, history.Forms},
		{role.DropCasts, []string{check.CastRan}, []history.Form{history.Cast, history.TypedCast}},
		{role.DropCasts, []string{check.Report}, []history.Form{history.Fanout, history.TypedFanout}},
		{role.DropCalls, []string{check.ExactlyOnce}, []history.Form{history.Call, history.Monitored, history.TypedCall, history.Multicall}},
		{role.DropCalls, []string{check.Report}, []history.Form{history.Gather}},
		{role.Pose, []string{check.ExactlyOnce}, []history.Form{history.Call, history.Monitored, history.TypedCall}},
		{role.Pose, []string{check.Report}, []history.Form{history.Gather}},
		{role.CutShort, []string{check.Whole}, []history.Form{history.Multicall, history.TypedWatch, history.TypedImport}},
		{role.Hush, []string{check.NeverRan}, []history.Form{history.Call, history.TypedCall}},
		{role.Leak, []string{check.Leaks}, []history.Form{history.Call}},
	} {
		t.Run(string(c.sabotage)+" "+string(c.forms[0]), func(t *testing.T) {
			t.Parallel()
			r := scenario.Scenario{Name: "sabotage", Run: func(w *world.World) {
				w.Servers(2, role.Server{Sabotage: c.sabotage})
				l := w.Usual()
				l.Processes, l.Callers, l.Forms, l.Once, l.Fails, l.Sabotage = 1, 4, c.forms, true, 0, c.sabotage
				if c.sabotage == role.Hush {
					l.Fails = 1
				}
				w.Await(w.Load(l))
			}}.Perform(t.Context(), dir(t), seed(t), true)
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			found, forms := map[string]bool{}, map[history.Form]bool{}
			for _, v := range r.Violations {
				found[v.Promise] = true
				for _, id := range v.IDs {
					form, _, _ := strings.Cut(id, "/")
					forms[history.Form(form)] = true
				}
				if !slices.Contains(c.promises, v.Promise) {
					t.Errorf("an unexpected violation of %q: %v %s", v.Promise, v.IDs, v.Text)
				}
			}
			for _, promise := range c.promises {
				if !found[promise] {
					t.Errorf("no violation of %q is found", promise)
				}
			}
			for _, form := range c.forms {
				if !forms[form] && c.sabotage != role.Leak {
					t.Errorf("no violation names a %s", form)
				}
			}
		})
	}
}
