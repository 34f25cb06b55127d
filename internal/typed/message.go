package typed

import (
	"fmt"
	"reflect"
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	oslorpcv1 "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// plan is what to look at in messages of one type. Types without rules, and from which none can be
// reached, have none: nil.
type plan struct {
	descriptor protoreflect.MessageDescriptor
	fields     []field
	// goType is the type of a pointer to the generated struct; nil if there is none.
	goType reflect.Type
	// any is that the type is google.protobuf.Any, which has rules that only its value tells.
	any bool
}

// field is one field worth looking at.
type field struct {
	rule
	descriptor protoreflect.FieldDescriptor
	// pinned is that it may not be cleared for the sake of its value: it is in a oneof, or
	// required.
	pinned bool
	place  place
	list   bool
	// message is the plan of its message, or of those that are the elements of a list or the values
	// of a map.
	message *plan
	// values are the enum values with rules, as for message.
	values map[protoreflect.EnumNumber]rule
}

// anyName is the type whose values are messages of any type.
const anyName = "google.protobuf.Any"

// compiler makes the plans of message types that refer to each other.
type compiler struct {
	plans map[protoreflect.MessageDescriptor]*plan
	enums map[protoreflect.EnumDescriptor]map[protoreflect.EnumNumber]rule
	// worthy are those that reach rules.
	worthy map[*plan]bool
	// order is the order of the plans' making, which makes what is reported of several mistakes the
	// same each time.
	order []*plan
}

func newCompiler() *compiler {
	return &compiler{
		plans: make(map[protoreflect.MessageDescriptor]*plan),
		enums: make(map[protoreflect.EnumDescriptor]map[protoreflect.EnumNumber]rule),

		worthy: make(map[*plan]bool),
	}
}

// compile returns the plan of a message type, nil if it reaches no rules.
func (c *compiler) compile(root protoreflect.MessageDescriptor) (*plan, error) {
	first := len(c.order)
	c.add(root)
	for i := first; i < len(c.order); i++ { // which grows
		if err := c.fill(c.order[i]); err != nil {
			return nil, err
		}
	}
	c.prune(c.order[first:])
	if p := c.plans[root]; c.worthy[p] {
		return p, nil
	}
	return nil, nil
}

// add returns the plan of a type, to be filled if it is new.
func (c *compiler) add(d protoreflect.MessageDescriptor) *plan {
	p := c.plans[d]
	if p == nil {
		p = &plan{descriptor: d, any: d.FullName() == anyName}
		c.plans[d] = p
		c.order = append(c.order, p)
	}
	return p
}

// fill reads the rules of a type's fields, and adds the types that they refer to.
func (c *compiler) fill(p *plan) error {
	fields := p.descriptor.Fields()
	for i := range fields.Len() {
		d := fields.Get(i)
		r, err := ruleOf(d, oslorpcv1.E_Field)
		if err == nil && r.drop {
			err = droppable(d)
		}
		if err != nil {
			return fmt.Errorf("field %s: %w", d.FullName(), err)
		}
		f := field{rule: r, descriptor: d, pinned: droppable(d) != nil, list: d.IsList()}
		value := d
		if d.IsMap() {
			value = d.MapValue()
		}
		if value.Message() != nil {
			f.message = c.add(value.Message())
		}
		if value.Enum() != nil {
			if f.values, err = c.valuesOf(value.Enum()); err != nil {
				return err
			}
		}
		p.fields = append(p.fields, f)
	}
	return nil
}

// droppable says why a field may not be removed from a message: nil if it may.
func droppable(d protoreflect.FieldDescriptor) error {
	if o := d.ContainingOneof(); o != nil && !o.IsSynthetic() {
		return fmt.Errorf("may not be dropped: it is in oneof %s", o.Name())
	}
	if d.Cardinality() == protoreflect.Required {
		return fmt.Errorf("may not be dropped: it is required")
	}
	return nil
}

// valuesOf reads the rules of an enum's values; nil if there are none. A number with several names
// is as old as the oldest of them, since that is all that is sent.
func (c *compiler) valuesOf(d protoreflect.EnumDescriptor) (map[protoreflect.EnumNumber]rule, error) {
	if known, ok := c.enums[d]; ok {
		return known, nil
	}
	all := make(map[protoreflect.EnumNumber]rule)
	for i := range d.Values().Len() {
		value := d.Values().Get(i)
		r, err := ruleOf(value, oslorpcv1.E_EnumValue)
		if err != nil {
			return nil, fmt.Errorf("enum value %s of %s: %w", value.Name(), d.FullName(), err)
		}
		if other, ok := all[value.Number()]; !ok || later(other.since, r.since) {
			all[value.Number()] = r
		}
	}
	for number, r := range all {
		if r == (rule{}) {
			delete(all, number)
		}
	}
	if len(all) == 0 {
		all = nil
	}
	c.enums[d] = all
	return all, nil
}

// prune leaves only what is worth looking at: first what has rules itself, then, until nothing
// changes, what refers to that.
func (c *compiler) prune(plans []*plan) {
	for changed := true; changed; {
		changed = false
		for _, p := range plans {
			if !c.worthy[p] && p.reaches(c.worthy) {
				c.worthy[p], changed = true, true
			}
		}
	}
	for _, p := range plans {
		p.reduce(c.worthy)
		p.locate()
	}
}

// reaches reports whether a type has rules, as far as is known.
func (p *plan) reaches(worthy map[*plan]bool) bool {
	if p.any {
		return true
	}
	for i := range p.fields {
		if p.fields[i].counts(worthy) {
			return true
		}
	}
	return false
}

// counts reports whether a field has rules, as far as is known.
func (f *field) counts(worthy map[*plan]bool) bool {
	return f.rule != (rule{}) || f.values != nil || worthy[f.message]
}

func (p *plan) reduce(worthy map[*plan]bool) {
	var left []field
	for i := range p.fields {
		f := p.fields[i]
		if !f.counts(worthy) {
			continue
		}
		if !worthy[f.message] {
			f.message = nil
		}
		left = append(left, f)
	}
	p.fields = left
}

// compiled is a plan that was made, or nothing, if the options cannot be read.
var compiled sync.Map // of *plan by protoreflect.MessageDescriptor

// planOf returns the plan of a type that is known only from a message. Malformed options are as
// none: this is no time to complain. Only types that are linked in are remembered, as there is no
// end to others.
func planOf(d protoreflect.MessageDescriptor) *plan {
	if known, ok := compiled.Load(d); ok {
		return known.(*plan)
	}
	p, err := newCompiler().compile(d)
	if err != nil {
		p = nil
	}
	if linked, err := protoregistry.GlobalFiles.FindDescriptorByName(d.FullName()); err == nil && linked == protoreflect.Descriptor(d) {
		compiled.Store(d, p)
	}
	return p
}
