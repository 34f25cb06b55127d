package oslorpc

import (
	"os"
	"path/filepath"
	"strings"
)

// maxCallerName bounds a caller's name, in bytes. Half of it is for the program's name in the
// default, and half for the machine's.
const maxCallerName = 128

// WithCallerName sets the name that the program gives itself to the servers it sends messages to:
// they count by it which program asks for what, and their methods find it in their [Message]. The
// default is the program's file name and the machine's name, as in "neutron-agent@node1"; an empty
// name is the default. A name has printable ASCII characters without spaces, and at most 128 of
// them.
//
// It travels as the connection's user agent, so grpc.WithUserAgent among the options of
// [WithDialOptions] has precedence.
func WithCallerName(name string) TransportOption {
	return transportOption(func(c *config) { c.caller = name })
}

// setCaller completes and checks the caller's name.
func (c *config) setCaller() error {
	if c.caller == "" {
		c.caller = defaultCallerName()
	}
	if len(c.caller) > maxCallerName {
		return invalidUse("the caller name has %d bytes, and at most %d are allowed", len(c.caller), maxCallerName)
	}
	if strings.ContainsFunc(c.caller, notInCallerName) {
		return invalidUse("the caller name %q must have printable ASCII characters only, and no spaces", c.caller)
	}
	return nil
}

func notInCallerName(r rune) bool { return r <= ' ' || r > '~' }

func defaultCallerName() string {
	path := os.Args[0]
	if executable, err := os.Executable(); err == nil {
		path = executable
	}
	name := callerWord(filepath.Base(path))
	if machine, err := os.Hostname(); err == nil && machine != "" {
		name += "@" + callerWord(machine)
	}
	return name
}

// callerWord returns a part of a caller's name, made of whatever the machine gave.
func callerWord(s string) string {
	s = strings.Map(func(r rune) rune {
		if notInCallerName(r) {
			return '_'
		}
		return r
	}, s)
	return s[:min(len(s), (maxCallerName-1)/2)]
}
