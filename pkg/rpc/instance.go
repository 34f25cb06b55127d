package rpc

import "slices"

// State says which messages an instance accepts. Programs treat an unknown state, which a newer
// server may report, as [StateActive].
type State string

// The states of an instance.
const (
	// StateActive instances accept every message.
	StateActive State = "active"
	// StateHeld instances accept messages into their queues and run none yet. Messages for any
	// server avoid them.
	StateHeld State = "held"
	// StateDraining instances receive only messages that name their server. Clients send no other
	// messages to them, and no fanouts.
	StateDraining State = "draining"
	// StateStopping instances finish the messages that they accepted and refuse all others.
	// Discovery never lists this state. Servers report it in [ServerInfo].
	StateStopping State = "stopping"
)

// Instance is one server in one process, as discovery knows it. Instances are read-only: copies of
// an instance share Implemented.
type Instance struct {
	// ID identifies the instance. No other instance ever has the same ID, not even after a restart.
	// It is empty for a static address.
	ID string
	// BootID identifies this run of the process. All instances of a process share it. It is empty
	// for a static address.
	BootID string
	// Exchange, Topic and Server name what the instance serves. Several instances may have the same
	// three names. Server is empty for a static address without a name.
	Exchange, Topic, Server string
	// Addr is the address of the process: "host:port", "unix:" followed by a path, or "xds:///"
	// followed by a name that a control plane resolves.
	Addr string
	// State says which messages the instance accepts. It is empty if unknown, as for a static
	// address.
	State State
	// Implemented lists the interfaces of the instance. It must not be changed. It is empty if they
	// are unknown, as for a static address: the instance may implement anything.
	Implemented []Implementation
	// Sessions is true if the process announces that it accepts sessions; see [Carrier].
	Sessions bool
	// Zone is where the process runs, such as an availability zone. It is empty if unknown.
	Zone string
}

// Equal reports whether two instances have the same fields.
func (i Instance) Equal(j Instance) bool {
	return i.ID == j.ID && i.BootID == j.BootID && i.Exchange == j.Exchange && i.Topic == j.Topic &&
		i.Server == j.Server && i.Addr == j.Addr && i.State == j.State &&
		i.Sessions == j.Sessions && i.Zone == j.Zone && slices.Equal(i.Implemented, j.Implemented)
}
