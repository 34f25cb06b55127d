package interceptor

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/typed"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// limit is the latest version that may be sent: a cap, or the version at which a stream was opened.
// Its zero value is no limit.
type limit struct {
	set     bool
	version rpc.Version
	// words is the limit's name in errors, such as "the cap epoxy (1.4)".
	words string
}

func (l *limit) allows(v rpc.Version) bool { return !l.set || l.version.Serves(v) }

// needOf returns what a message needs. Fields are unknown here for a message that another codec
// encodes.
func needOf(m *typed.Method, message any) typed.Need {
	if message, ok := message.(proto.Message); ok {
		return m.Need(message)
	}
	return typed.Need{Version: m.Since, Floor: m.Since}
}

// fit returns the message in the form that may be sent, and the version that this form needs. Ok is
// false if no form may be sent. The message itself is never changed.
func (l *limit) fit(m *typed.Method, message any) (fitted any, version rpc.Version, ok bool) {
	need := needOf(m, message)
	switch {
	case l.allows(need.Version):
		return message, need.Version, true
	case !l.allows(need.Floor):
		return nil, rpc.Version{}, false
	}
	original := message.(proto.Message) // a message that needs more than its floor has fields
	for _, step := range m.Steps(original) {
		if l.allows(step) {
			return m.Fit(original, step), step, true
		}
	}
	return m.Fit(original, need.Floor), need.Floor, true
}

// excess says what in a message the limit forbids, and what to do about it.
func (l *limit) excess(m *typed.Method, message any) string {
	if l.version.Major != m.Since.Major {
		return fmt.Sprintf("the service %s has version %s, and %s is of another major version", m.Service.Name, m.Service.Version, l.words)
	}
	what, since := "the method", m.Since
	if message, ok := message.(proto.Message); ok {
		if e, ok := m.Blame(message, l.version); ok {
			since = e.Since
			if e.Path != "" {
				what = e.Path
			}
		}
	}
	return fmt.Sprintf("%s needs version %s, and %s is earlier: do without it until the servers are newer", what, since, l.words)
}
