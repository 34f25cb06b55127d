package route

import "github.com/oslorpc/oslorpc/pkg/rpc"

// capStates maps the states of a ceiling to the states of package rpc.
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

// Zone explains how the client's zone affects messages that name no server: it counts the usable
// instances in the zone and elsewhere.
func (v *View) Zone(q Query) *rpc.ZoneReason {
	a, r := v.ableTo(q), &rpc.ZoneReason{Zone: v.zone}
	count := func(add func(*Entry), lists ...[]*Entry) {
		for _, list := range lists {
			for _, e := range list {
				if e.usable() {
					add(e)
				}
			}
		}
	}
	count(func(e *Entry) {
		r.Near++
		if takes(e) && e.State != rpc.StateHeld {
			r.Ready++
		}
	}, a.near.any, a.near.reserve, a.near.held)
	count(func(*Entry) { r.Far++ }, a.far.any, a.far.reserve, a.far.held)
	return r
}
