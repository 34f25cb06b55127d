package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// matrix is which instance implements what, and the automatic cap of each interface.
type matrix struct {
	instances  []oslorpc.Instance
	interfaces []iface
	caps       []capOf // of each interface
}

// capOf is an automatic cap.
type capOf struct {
	iface
	*oslorpc.CapReason
	newest oslorpc.Version // what some instance implements
}

func newMatrix(list []oslorpc.Instance) *matrix {
	latest := newest(list)
	m := &matrix{instances: list, interfaces: sortedInterfaces(latest)}
	for _, i := range m.interfaces {
		m.caps = append(m.caps, capOf{i, capReason(i, list), latest[i]})
	}
	return m
}

func capReason(i iface, list []oslorpc.Instance) *oslorpc.CapReason {
	at := rpc.Interface{Namespace: i.namespace, Major: i.major}
	return route.CeilingOf(at, list).Reason(at)
}

// heldDown reports whether the cap would be higher without its holders.
func (c *capOf) heldDown() bool {
	return c.State != oslorpc.CapKnown || c.Version.Compare(c.newest) < 0
}

// holders returns the instances that hold down some cap, in order.
func (m *matrix) holders() []oslorpc.Instance {
	return slices.DeleteFunc(slices.Clone(m.instances), func(i oslorpc.Instance) bool {
		return !slices.ContainsFunc(m.caps, func(c capOf) bool { return c.heldDown() && holds(c.CapReason, i) })
	})
}

func holds(r *oslorpc.CapReason, i oslorpc.Instance) bool {
	return slices.ContainsFunc(r.Holders, func(holder oslorpc.Instance) bool { return identity(holder) == identity(i) })
}

// rows returns the matrix for people.
func (m *matrix) rows() [][]string {
	head := []string{serverColumn, addressColumn, stateColumn}
	for _, i := range m.interfaces {
		head = append(head, i.String())
	}
	rows := [][]string{head}
	for _, instance := range m.instances {
		row := []string{instance.Server, instance.Addr, stateOf(instance)}
		for _, i := range m.interfaces {
			row = append(row, implemented(instance, i))
		}
		rows = append(rows, row)
	}
	return rows
}

// stateOf returns what an instance takes, with a mark if automatic caps do not count it.
func stateOf(i oslorpc.Instance) string {
	if i.State == oslorpc.StateDraining {
		return string(i.State) + " (not counted)"
	}
	return string(i.State)
}

// implemented lists the versions of an interface that an instance implements; "?" if it does not say.
func implemented(instance oslorpc.Instance, i iface) string {
	if len(instance.Implemented) == 0 {
		return "?"
	}
	var words []string
	for _, v := range instance.Implemented {
		if i.has(v) {
			words = append(words, v.Version.String())
		}
	}
	return strings.Join(words, ",")
}

// capRows returns the caps for people, with what is known of those who hold them down.
func (m *matrix) capRows(seen []observation) [][]string {
	rows := [][]string{{"INTERFACE", "AUTO CAP", "NEWEST", "HELD DOWN BY"}}
	for _, c := range m.caps {
		version, by := c.Version.String(), "none"
		if c.State != oslorpc.CapKnown {
			version = string(c.State)
		}
		if c.heldDown() {
			by = heldBy(c.CapReason, seen)
		}
		rows = append(rows, []string{c.iface.String(), version, c.newest.String(), by})
	}
	return rows
}

// heldBy names the first holders of a cap, with how long they are up.
func heldBy(r *oslorpc.CapReason, seen []observation) string {
	const few = 3
	var names []string
	for _, o := range seen {
		if !holds(r, o.instance) {
			continue
		}
		up := "not reachable"
		if uptime, known := o.uptime(); known {
			up = "up " + uptime.String()
		}
		names = append(names, fmt.Sprintf("%s (%s)", cell(o.instance.Server), up))
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
