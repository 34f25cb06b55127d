package upgrade

import (
	"maps"
	"slices"

	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Matrix shows which instance implements which interface, and the automatic cap of each interface.
type Matrix struct {
	Instances []rpc.Instance
	// Caps are ordered by interface.
	Caps []Cap
}

// Cap is the automatic version cap of an interface.
type Cap struct {
	*rpc.CapReason
	// Newest is the latest version that any instance implements, zero if there is none.
	Newest rpc.Version
}

// NewMatrix returns the matrix for the instances on a topic.
func NewMatrix(instances []rpc.Instance) *Matrix {
	m := &Matrix{Instances: instances}
	newest := NewestOf(instances)
	for _, i := range slices.SortedFunc(maps.Keys(newest), rpc.Interface.Compare) {
		m.Caps = append(m.Caps, Cap{AutoCap(i, instances), newest[i]})
	}
	return m
}

// AutoCap explains the automatic cap of an interface for the instances on a topic.
func AutoCap(i rpc.Interface, instances []rpc.Instance) *rpc.CapReason {
	return route.CeilingOf(i, instances).Reason(i)
}

// HeldDown reports whether there is no cap, or the cap is below the newest version.
func (c *Cap) HeldDown() bool {
	return c.State != rpc.CapKnown || c.Version.Compare(c.Newest) < 0
}

// Holders returns the instances that hold any cap down, in the order of the instances.
func (m *Matrix) Holders() []rpc.Instance {
	return slices.DeleteFunc(slices.Clone(m.Instances), func(i rpc.Instance) bool {
		return !slices.ContainsFunc(m.Caps, func(c Cap) bool { return c.HeldDown() && holds(c.CapReason, i) })
	})
}

// HoldersOf returns the observations of the instances that are the holders of a cap.
func HoldersOf(r *rpc.CapReason, seen []Observation) []Observation {
	return slices.DeleteFunc(slices.Clone(seen), func(o Observation) bool { return !holds(r, o.Instance) })
}

func holds(r *rpc.CapReason, i rpc.Instance) bool {
	return slices.ContainsFunc(r.Holders, func(holder rpc.Instance) bool { return same(holder, i) })
}

// same reports whether a and b are the same instance. Instances at static addresses have no ID, so
// all their fields are compared.
func same(a, b rpc.Instance) bool {
	if a.ID != "" || b.ID != "" {
		return a.ID == b.ID
	}
	return a.Equal(b)
}

// Counted reports whether an instance counts for automatic caps.
func Counted(i rpc.Instance) bool { return i.State != rpc.StateDraining }

// VersionsOf returns the versions of an interface that an instance implements.
func VersionsOf(i rpc.Instance, at rpc.Interface) []rpc.Version {
	var list []rpc.Version
	for _, offered := range i.Implemented {
		if offered.Interface() == at {
			list = append(list, offered.Version)
		}
	}
	return list
}

// AllServe reports whether every server that implements a cap's interface serves the version v of
// it.
func AllServe(r *rpc.CapReason, v rpc.Version) bool {
	return r.State == rpc.CapKnown && r.Version.Serves(v)
}
