//go:build unix

package nova

import (
	"slices"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/internal/programtest"
)

// another returns the URL of another registry of the same kind.
func another(t *testing.T, url string) string {
	t.Helper()
	if strings.HasPrefix(url, "consul:") {
		return consultest.Start(t).URL()
	}
	return programtest.Local(t)
}

// Each cell has a separate registry, conductor and computes. When the conductor of one cell is
// gone, the other cells continue.
func TestCells(t *testing.T) {
	programtest.OnEach(t, func(t *testing.T, url string) {
		cell2 := &fleet{t: t, url: another(t, url)}
		conductor := cell2.start("nova-conductor", "ctl2")
		f := startFleet(t, url, "--cell", "cell2="+cell2.url)
		f.compute("c1")
		cell2.compute("c3", "--migration-time", "0s")
		c4 := cell2.compute("c4", "--migration-time", "0s")
		for host, cell := range map[string]string{"c1": rpcapi.OwnCell, "c3": "cell2"} {
			f.do("boot", map[string]any{"name": "vm-" + host, "cell": cell})
			f.runs("vm-"+host, host)
		}
		want := []server{
			{Name: "vm-c3", State: rpcapi.Active, Host: "c3", Cell: "cell2"},
			{Name: "vm-c1", State: rpcapi.Active, Host: "c1", Cell: rpcapi.OwnCell},
		}
		if got := f.list(); !slices.Equal(got.Servers, want) || got.Unknown != nil {
			t.Errorf("listed: %+v", got)
		}
		if to := f.migrate("vm-c3", ""); to != (rpcapi.Selection{Cell: "cell2", ServiceHost: "c4"}) {
			t.Errorf("it moves to %+v", to)
		}
		c4.Await("c4: runs vm-c3 now")
		f.runs("vm-c3", "c4")
		f.do("reboot", map[string]any{"server": "vm-c3"})
		c4.Await("c4: reboots vm-c3")
		f.Refused(api, "live_migrate", map[string]any{"server": "vm-c3", "host": "c1"}) // c1 is in another cell
		if got := programtest.Ask[string](f.Operator, api, "disable_host", map[string]any{"host": "c3", "cell": "cell2"}); got != "disabled" {
			t.Errorf("disabled, it is %s", got)
		}

		conductor.Kill()
		if got := f.list(); !slices.Equal(got.Servers, want[1:]) || !slices.Equal(got.Unknown, []string{"cell2"}) {
			t.Errorf("without the conductor of cell2, listed: %+v", got)
		}
		programtest.Until(t, "the reason is logged", func() bool {
			log := f.api.Log()
			return strings.Contains(log, "not all cells answer") && strings.Contains(log, "cell cell2: ")
		})
		f.do("delete", map[string]any{"server": "vm-c1"})
		if err := f.Refused(api, "show", map[string]any{"server": "vm-c3"}); typeOf(err) != "BadRequest" || !strings.Contains(err.Error(), "cell2") {
			t.Errorf("asking for an instance in cell2: %v, want an error that names the cell", err)
		}
	})
}
