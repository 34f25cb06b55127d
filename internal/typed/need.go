package typed

import (
	"math"
	"reflect"

	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// unlimited is later than every real version.
var unlimited = rpc.Version{Major: math.MaxUint32, Minor: math.MaxUint32, Revision: math.MaxUint32}

// Need returns which versions a message of the method needs. If the message is not of the method's
// input type, it needs the method's own version.
func (m *Method) Need(message proto.Message) Need {
	p := m.look(message)
	if p == nil {
		return Need{Version: m.Since, Floor: m.Since}
	}
	w := walk{base: m.Since, limit: unlimited}
	version, floor := w.message(p, message)
	return Need{Version: latest(version, m.Since), Floor: latest(floor, m.Since)}
}

// Steps returns the versions at which a message can be sent, the latest first: Version, and each
// lower one that dropping leads to, down to Floor. Each is the version that the result of Fit
// needs. A server gets the first version that it implements.
func (m *Method) Steps(message proto.Message) []rpc.Version {
	n := m.Need(message)
	steps := []rpc.Version{n.Version}
	if n.Version == n.Floor {
		return steps
	}
	p := m.look(message)
	for step := n.Version; later(step, n.Floor); steps = append(steps, step) {
		w := walk{base: m.Since, limit: step}
		below, _ := w.message(p, message)
		step = latest(below, m.Since)
	}
	return steps
}

// look returns the plan of a message, or nil if there is nothing to examine.
func (m *Method) look(message proto.Message) *plan {
	if message == nil {
		return nil
	}
	if m.plan != nil && reflect.TypeOf(message) == m.plan.goType {
		return m.plan
	}
	switch d := message.ProtoReflect().Descriptor(); {
	case d == m.input:
		return m.plan
	case d.FullName() != m.input.FullName():
		return nil
	default:
		return planOf(d)
	}
}
