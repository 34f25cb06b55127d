package oslorpc

import (
	"os"
	"path/filepath"
	"strings"
)

// maxCallerName bounds a caller's name, in bytes. In the default name, half of it is for the
// program's name and half for the machine's.
const maxCallerName = 128

// WithCallerName sets the name that the program tells servers. Servers count requests by this name,
// and methods find it in [Message.Caller]. Nothing proves the name. The default, also for an empty
// name, is the program's file name and the machine's name, as in "neutron-agent@node1". A name has
// at most 128 characters, all printable ASCII without spaces.
//
// The name travels as the user agent of the connection. If [WithDialOptions] includes
// grpc.WithUserAgent, that has precedence.
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

// callerWord makes a valid part of a caller's name from any text.
func callerWord(s string) string {
	s = strings.Map(func(r rune) rune {
		if notInCallerName(r) {
			return '_'
		}
		return r
	}, s)
	return s[:min(len(s), (maxCallerName-1)/2)]
}
