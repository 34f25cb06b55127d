//go:build unix

package nova

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/programtest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// A program that is started with wrong arguments says what is wrong.
func TestMistakes(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		says string
		args []string
	}{
		{`unexpected argument "more"`, []string{"nova-api", "more"}},
		{"--host is required", []string{"nova-api", "--host", ""}},
		{"timeouts must be positive", []string{"nova-scheduler", "--rpc-response-timeout", "0s"}},
		{"timeouts must be positive", []string{"nova-conductor", "--long-rpc-timeout", "-1s"}},
		{"it must be NAME=VALUE", []string{"nova-api", "--upgrade-level", "compute"}},
		{"it must be NAME=VALUE", []string{"nova-api", "--cell", "=local://"}},
		{`there is no service "computes"`, []string{"nova-api", "--upgrade-level", "computes=5.0"}},
		{`the upgrade level of compute is "quince"`, []string{"nova-conductor", "--upgrade-level", "compute=quince"}},
		{`the upgrade level of conductor is "queens"`, []string{"nova-api", "--upgrade-level", "conductor=queens"}},
		{`the upgrade level of scheduler is "4"`, []string{"nova-compute", "--upgrade-level", "scheduler=4"}},
		{`the name "own" means the program's own cell`, []string{"nova-scheduler", "--cell", "own=local://"}},
		{"cell cell2: ", []string{"nova-scheduler", "--cell", "cell2=rabbit://localhost"}},
		{`there is no release "quince"; known releases: gazpacho, queens, wallaby, zed`, []string{"nova-compute", "--release", "quince"}},
		{"--migration-time not negative", []string{"nova-compute", "--migration-time", "-1s"}},
		{"must be positive", []string{"nova-compute", "--sync-interval", "0s"}},
		{"must be positive", []string{"nova-compute", "--graceful-shutdown-timeout", "0s"}},
		{"broken is not a database", []string{"nova-conductor", "--database", broken}},
		{"is a directory", []string{"nova-conductor", "--database", t.TempDir()}},
		{"flag provided but not defined: -database", []string{"nova-api", "--database", "x"}},
	} {
		p := programtest.Start(t, programtest.Local(t), c.args[0], c.args[1:]...)
		if code := p.Ended(); code <= 0 || !strings.Contains(p.Log(), c.says) {
			t.Errorf("%s ends with %d, and says\n%s", p.Name, code, p.Log())
		}
	}
	p := programtest.Start(t, "rabbit://localhost", "nova-api")
	if code := p.Ended(); code != 1 || !strings.Contains(p.Log(), "rabbit") {
		t.Errorf("with another transport, it ends with %d, and says\n%s", code, p.Log())
	}
}

// typeOf returns the registered type name of a method's error.
func typeOf(err error) string {
	if remote, ok := errors.AsType[*oslorpc.RemoteError](err); ok {
		return remote.Type
	}
	return ""
}

// A caller that asks for something impossible gets an error, and no log mentions it.
func TestMistakesOfOperators(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		f := startFleet(t, url)
		c1 := f.compute("c1")
		f.boot("vm", "c1")
		for range 2 {
			f.do("boot", map[string]any{"name": "twin", "host": "c1"})
		}
		programtest.Until(t, "there are two of one name", func() bool { return len(f.list().Servers) == 3 })
		f.do("boot", map[string]any{"name": "nowhere", "host": "c9"})
		f.until("nowhere", "has failed", func(s server) bool { return s.State == "error" })
		for _, c := range []struct {
			method, want, says string
			args               map[string]any
		}{
			{"boot", "BadRequest", `there is no flavor "m9", but m1.large, m1.small, m1.tiny`, map[string]any{"name": "x", "flavor": "m9"}},
			{"boot", "BadRequest", "count is 0", map[string]any{"name": "x", "count": 0}},
			{"boot", "BadRequest", "count is 101", map[string]any{"name": "x", "count": 101}},
			{"boot", "BadRequest", `there is no cell "cell9", but ["own"]`, map[string]any{"name": "x", "cell": "cell9"}},
			{"resize", "BadRequest", `there is no flavor "m9"`, map[string]any{"server": "vm", "flavor": "m9"}},
			{"show", "InstanceNotFound", "instance x could not be found", map[string]any{"server": "x"}},
			{"delete", "InstanceNotFound", "instance x could not be found", map[string]any{"server": "x"}},
			{"reboot", "InstanceNotFound", "instance x could not be found", map[string]any{"server": "x"}},
			{"show", "BadRequest", `2 instances are called "twin": say which, of `, map[string]any{"server": "twin"}},
			{"delete", "BadRequest", `2 instances are called "twin"`, map[string]any{"server": "twin"}},
			{"reboot", "BadRequest", "instance nowhere is on no compute: ", map[string]any{"server": "nowhere"}},
			{"console", "BadRequest", "instance nowhere is on no compute: ", map[string]any{"server": "nowhere"}},
			{"resize", "BadRequest", "nowhere is on no compute: ", map[string]any{"server": "nowhere", "flavor": "m1.tiny"}},
			{"rebuild", "BadRequest", "nowhere is on no compute: ", map[string]any{"server": "nowhere", "image": "debian"}},
			{"live_migrate", "MigrationError", `instance nowhere is in the state "error"`, map[string]any{"server": "nowhere"}},
			{"live_migrate", "NoValidHost", "host c9 is down", map[string]any{"server": "vm", "host": "c9"}},
			{"live_migrate", "NoValidHost", "or where the instance is already", map[string]any{"server": "vm", "host": "c1"}},
			{"live_migrate", "NoValidHost", `there is none but ["c1"]`, map[string]any{"server": "vm"}},
			{"enable_host", "BadRequest", `no compute called "c9" is up in cell own`, map[string]any{"host": "c9"}},
			{"disable_host", "BadRequest", `there is no cell "cell9"`, map[string]any{"host": "c1", "cell": "cell9"}},
		} {
			if err := f.Refused(api, c.method, c.args); typeOf(err) != c.want || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s %v: %v", c.method, c.args, err)
			}
		}
		f.runs("vm", "c1")
		for _, p := range []*programtest.Process{f.api, f.scheduler, f.conductor, c1} {
			if log := p.Log(); log != "" {
				t.Errorf("%s logs\n%s", p.Name, log)
			}
		}
	})
}
