package dispatch

import "strings"

// Policy decides which methods of the endpoints may be called. To callers, a method that it does
// not allow seems absent.
type Policy uint8

// The policies.
const (
	// AllowPublic allows the names that do not begin with an underscore.
	AllowPublic Policy = iota
	// AllowAll allows every method.
	AllowAll
	// AllowExposed allows the methods that are marked as exposed, whatever their names.
	AllowExposed
)

func (p Policy) allows(name string, m *Method) bool {
	switch p {
	case AllowAll:
		return true
	case AllowExposed:
		return m.Exposed
	default:
		return isPublic(name)
	}
}

// allowsFallback reports whether a fallback may be called at all.
func (p Policy) allowsFallback(m *Method) bool { return p != AllowExposed || m.Exposed }

// allowsUnlisted reports whether a fallback may be called for a method name. With AllowExposed,
// exposing the fallback does not expose every name: names that begin with an underscore stay
// hidden.
func (p Policy) allowsUnlisted(name string) bool { return p == AllowAll || isPublic(name) }

func isPublic(name string) bool { return !strings.HasPrefix(name, "_") }
