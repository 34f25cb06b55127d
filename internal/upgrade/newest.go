package upgrade

import (
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Newest has the latest version of each interface that any instance implements.
type Newest map[rpc.Interface]rpc.Version

// NewestOf returns the newest versions that the instances implement.
func NewestOf(instances []rpc.Instance) Newest {
	newest := Newest{}
	for _, i := range instances {
		for _, offered := range i.Implemented {
			at := offered.Interface()
			if known, found := newest[at]; !found || offered.Version.Compare(known) > 0 {
				newest[at] = offered.Version
			}
		}
	}
	return newest
}

// Major returns the interface of a namespace with the highest major version. It returns false if no
// instance implements the namespace.
func (n Newest) Major(namespace string) (newest rpc.Interface, found bool) {
	for i := range n {
		if i.Namespace == namespace && (!found || i.Major > newest.Major) {
			newest, found = i, true
		}
	}
	return newest, found
}

// outdates reports whether an instance implements a later version than the requested one, with the
// same major version, or else whether there is only a later major version of the namespace.
// Revisions do not count, since callers do not ask for them.
func (n Newest) outdates(requested rpc.Implementation) bool {
	at := requested.Interface()
	if newest, found := n[at]; found {
		return requested.Version.Compare(rpc.Version{Major: newest.Major, Minor: newest.Minor}) < 0
	}
	major, found := n.Major(at.Namespace)
	return found && major.Major > at.Major
}
