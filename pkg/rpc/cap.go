package rpc

import "fmt"

// Cap is the latest version that a client may send: an upper bound, set while the servers are older than the client. Its
// zero value allows everything.
type Cap struct {
	set     bool
	version Version
}

// ParseCap reads a cap in the form of a version; the empty string is no cap.
func ParseCap(s string) (Cap, error) {
	if s == "" {
		return Cap{}, nil
	}
	v, err := ParseVersion(s)
	if err != nil {
		return Cap{}, fmt.Errorf("version cap: %w", err)
	}
	return Cap{set: true, version: v}, nil
}

// Allows reports whether a message of this version may be sent: it may, if a server that implements exactly the cap could
// serve it. So a lower minor version passes and another major version does not.
func (c Cap) Allows(v Version) bool { return !c.set || c.version.Serves(v) }

// String returns the cap's version, "none" if there is no cap.
func (c Cap) String() string {
	if !c.set {
		return "none"
	}
	return c.version.String()
}
