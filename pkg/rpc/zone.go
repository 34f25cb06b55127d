package rpc

import "fmt"

// ValidateZone returns an error if instances cannot have this zone, because it is longer than 255
// bytes, not UTF-8, or has control characters. An empty zone is valid and means no zone. The error
// is an [Error] of kind [Invalid].
func ValidateZone(zone string) error {
	if reason := badName(zone); reason != "" {
		return &Error{Kind: Invalid, NotStarted: true, Message: fmt.Sprintf("the zone %s %s", quote(zone), reason)}
	}
	return nil
}

// ZoneReason explains whether messages that name no server stay in the client's zone.
type ZoneReason struct {
	// Zone is the zone of the client.
	Zone string
	// Near is how many servers in the zone can serve the messages. Ready is how many of those are
	// expected to accept a message now.
	Near, Ready int
	// Far is how many servers outside the zone can serve the messages.
	Far int
}

// String returns the explanation in one sentence.
func (r *ZoneReason) String() string {
	switch {
	case r.Ready > 0:
		return fmt.Sprintf("messages for any server stay in zone %q, where %d of %d servers are", r.Zone, r.Near, r.Near+r.Far)
	case r.Near > 0:
		return fmt.Sprintf("messages for any server leave zone %q, where none of %d servers accepts a message now, for others (%d)", r.Zone, r.Near, r.Far)
	default:
		return fmt.Sprintf("messages for any server leave zone %q, where no server can serve them, for others (%d)", r.Zone, r.Far)
	}
}
