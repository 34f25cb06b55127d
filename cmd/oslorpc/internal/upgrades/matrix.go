package upgrades

import (
	"fmt"
	"strings"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/internal/upgrade"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// matrixRows returns the table of versions for people: one row per instance, one column per
// interface.
func matrixRows(m *upgrade.Matrix) [][]string {
	head := []string{cli.ServerColumn, cli.AddressColumn, cli.StateColumn}
	for _, c := range m.Caps {
		head = append(head, c.Interface.String())
	}
	rows := [][]string{head}
	for _, i := range m.Instances {
		row := []string{i.Server, i.Addr, countedState(i)}
		for _, c := range m.Caps {
			row = append(row, implemented(i, c.Interface))
		}
		rows = append(rows, row)
	}
	return rows
}

// countedState returns the state of an instance, with a mark if automatic caps do not count it.
func countedState(i rpc.Instance) string {
	if upgrade.Counted(i) {
		return string(i.State)
	}
	return string(i.State) + " (not counted)"
}

// implemented lists the versions of an interface that an instance implements, or "?" if it does not
// report them.
func implemented(i rpc.Instance, at rpc.Interface) string {
	if len(i.Implemented) == 0 {
		return "?"
	}
	var words []string
	for _, v := range upgrade.VersionsOf(i, at) {
		words = append(words, v.String())
	}
	return strings.Join(words, ",")
}

// capRows returns a table of caps for people, with the reports of their holders.
func capRows(m *upgrade.Matrix, seen []upgrade.Observation) [][]string {
	rows := [][]string{{"INTERFACE", "AUTO CAP", "NEWEST", "HELD DOWN BY"}}
	for _, c := range m.Caps {
		version, by := c.Version.String(), "none"
		if c.State != rpc.CapKnown {
			version = string(c.State)
		}
		if c.HeldDown() {
			by = holders(c.CapReason, seen)
		}
		rows = append(rows, []string{c.Interface.String(), version, c.Newest.String(), by})
	}
	return rows
}

// holders lists the first holders of a cap (see [rpc.CapReason]), with their uptimes.
func holders(r *rpc.CapReason, seen []upgrade.Observation) string {
	const few = 3
	var names []string
	for _, o := range upgrade.HoldersOf(r, seen) {
		up := "not reachable"
		if uptime, known := o.Uptime(); known {
			up = "up " + uptime.String()
		}
		names = append(names, fmt.Sprintf("%s (%s)", cli.Cell(o.Instance.Server), up))
	}
	if len(names) == 0 {
		return "none"
	}
	text := strings.Join(names[:min(few, len(names))], ", ")
	if more := len(names) - few; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
