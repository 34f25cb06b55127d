package typed

import (
	"math"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// unlimited is later than every version that anybody has.
var unlimited = rpc.Version{Major: math.MaxUint32, Minor: math.MaxUint32, Revision: math.MaxUint32}

// Need returns what a message of the method needs. Messages that are not of the method's input type need the method's own version.
func (m *Method) Need(message proto.Message) Need {
	r, p := m.look(message)
	if p == nil {
		return Need{Version: m.Since, Floor: m.Since}
	}
	version, floor := walk{base: m.Since, limit: unlimited}.message(p, r)
	return Need{Version: latest(version, m.Since), Floor: latest(floor, m.Since)}
}

// Steps returns the versions at which a message can be sent, the latest first: Version, and each that dropping leads to, down to
// Floor. Each is what the message needs that Fit returns for it. A server takes the first that it is not too old for.
func (m *Method) Steps(message proto.Message) []rpc.Version {
	n := m.Need(message)
	steps := []rpc.Version{n.Version}
	if n.Version == n.Floor {
		return steps
	}
	r, p := m.look(message)
	for step := n.Version; later(step, n.Floor); steps = append(steps, step) {
		below, _ := walk{base: m.Since, limit: step}.message(p, r)
		step = latest(below, m.Since)
	}
	return steps
}

// look returns a message for reading and its plan, nil if there is nothing to look at.
func (m *Method) look(message proto.Message) (protoreflect.Message, *plan) {
	if message == nil {
		return nil, nil
	}
	r := message.ProtoReflect()
	d := r.Descriptor()
	switch {
	case d == m.input:
		return r, m.plan
	case d.FullName() != m.input.FullName():
		return r, nil
	default:
		return r, planOf(d)
	}
}
