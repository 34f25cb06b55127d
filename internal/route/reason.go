package route

import "github.com/oslorpc/oslorpc/pkg/rpc"

// capStates are the ceiling's states in the vocabulary of programs.
var capStates = map[CeilingState]rpc.CapState{
	Known: rpc.CapKnown, Absent: rpc.CapNoInstance, MajorMismatch: rpc.CapNoCommonVersion, Unreported: rpc.CapUnreported,
}

// Reason explains the automatic cap that the ceiling of an interface sets.
func (c *Ceiling) Reason(i Interface) *rpc.CapReason {
	r := &rpc.CapReason{Interface: i, Rule: rpc.CapRuleAuto, State: capStates[c.State], Version: c.Version}
	for _, e := range c.Holders {
		r.Holders = append(r.Holders, e.Instance)
	}
	if c.Rises {
		next := c.Next // ceilings are shared
		r.Next = &next
	}
	return r
}
