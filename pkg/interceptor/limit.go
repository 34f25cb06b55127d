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

// needOf returns the version that a message needs. For a message that is not a protobuf message,
// because the program uses another codec, its fields are not known, and only the method counts.
func needOf(m *typed.Method, message any) typed.Need {
	if message, ok := message.(proto.Message); ok {
		return m.Need(message)
	}
	return typed.Need{Version: m.Since, Floor: m.Since}
}

// fit returns the message that may be sent, without the fields that may be dropped if necessary,
// and the version that it needs. If even that exceeds the limit, ok is false. The message itself is
// never changed.
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

// excess describes which part of a message exceeds the limit, and what to do about it.
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
