package typed

import (
	"math"
	"reflect"

	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// unlimited is later than every version that exists.
var unlimited = rpc.Version{Major: math.MaxUint32, Minor: math.MaxUint32, Revision: math.MaxUint32}

// Need returns what a message of the method needs. Messages that are not of the method's input type
// need the method's own version.
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
// that dropping leads to, down to Floor. Each is what the message needs that Fit returns for it. A
// server takes the first that it is not too old for.
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

// look returns the plan of a message, nil if there is nothing to look at.
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
