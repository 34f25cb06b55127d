package rpc

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// AutoCap is the text of a cap that follows the running servers: the latest version that all of
// them implement.
const AutoCap = "auto"

// Cap is the latest version that a client may send: an upper bound, set while the servers are older
// than the client. Its zero value allows everything.
type Cap struct {
	kind    capKind
	alias   string // the name that stands for the version; empty if there is none
	version Version
}

type capKind uint8

const (
	noCap capKind = iota
	fixedCap
	autoCap
)

// ParseCap reads a cap. A cap is a version; a key of aliases, such as the name of a release in
// Nova's upgrade_levels; or [AutoCap]. The empty string is no cap.
func ParseCap(s string, aliases map[string]string) (Cap, error) {
	switch text, named := aliases[s]; {
	case s == "":
		return Cap{}, nil
	case named:
		v, err := ParseVersion(text)
		if err != nil {
			return Cap{}, fmt.Errorf("version cap %q: the alias does not stand for a version: %w", s, err)
		}
		return Cap{kind: fixedCap, alias: s, version: v}, nil
	case s == AutoCap:
		return Cap{kind: autoCap}, nil
	}
	v, err := ParseVersion(s)
	if err != nil {
		return Cap{}, fmt.Errorf("version cap %q is neither %q nor %s: %w", s, AutoCap, knownAliases(aliases), err)
	}
	return Cap{kind: fixedCap, version: v}, nil
}

func knownAliases(aliases map[string]string) string {
	if len(aliases) == 0 {
		return "an alias, of which there are none"
	}
	return "one of the aliases " + strings.Join(slices.Sorted(maps.Keys(aliases)), ", ")
}

// Allows reports whether the cap allows a message of version v. A fixed cap allows it if a server
// that implements exactly the cap could serve it: the major version is the same, and the minor
// version is not later. [AutoCap] forbids nothing.
func (c Cap) Allows(v Version) bool { return c.kind != fixedCap || c.version.Serves(v) }

// IsAuto reports whether the cap is [AutoCap].
func (c Cap) IsAuto() bool { return c.kind == autoCap }

// Version returns the version of a fixed cap. For other caps, ok is false.
func (c Cap) Version() (v Version, ok bool) { return c.version, c.kind == fixedCap }

// Alias returns the name that stood for the version. It is empty if the cap was a version.
func (c Cap) Alias() string { return c.alias }

// String returns the cap's version, with its alias if it has one; "auto"; or "none" if there is no
// cap.
func (c Cap) String() string {
	switch {
	case c.kind == noCap:
		return "none"
	case c.kind == autoCap:
		return AutoCap
	case c.alias != "":
		return c.alias + " (" + c.version.String() + ")"
	default:
		return c.version.String()
	}
}
