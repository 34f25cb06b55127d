package typed

import (
	"errors"
	"fmt"
	"reflect"
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	oslorpcv1 "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// plan says which fields of messages of one type to examine. It is nil for types that have no rules
// and refer to no type with rules.
type plan struct {
	descriptor protoreflect.MessageDescriptor
	fields     []field
	// goType is the type of a pointer to the generated struct, or nil if there is none.
	goType reflect.Type
	// any is true for google.protobuf.Any, whose rules depend on its value.
	any bool
}

// field is a field to examine.
type field struct {
	rule
	descriptor protoreflect.FieldDescriptor
	// pinned is true if the field must not be cleared because of its value: it is in a oneof, or
	// required.
	pinned bool
	place  place
	list   bool
	// message is the plan of the field's message, or of the elements of a list or a map.
	message *plan
	// values are the enum values with rules, of the field or of its elements.
	values map[protoreflect.EnumNumber]rule
}

// anyName is the type that contains messages of any type.
const anyName = "google.protobuf.Any"

// compiler makes the plans of message types, which may refer to each other.
type compiler struct {
	plans map[protoreflect.MessageDescriptor]*plan
	enums map[protoreflect.EnumDescriptor]map[protoreflect.EnumNumber]rule
	// worthy has the plans from which rules can be reached.
	worthy map[*plan]bool
	// order is the order in which plans were made. It makes errors deterministic.
	order []*plan
}

func newCompiler() *compiler {
	return &compiler{
		plans: make(map[protoreflect.MessageDescriptor]*plan),
		enums: make(map[protoreflect.EnumDescriptor]map[protoreflect.EnumNumber]rule),

		worthy: make(map[*plan]bool),
	}
}

// compile returns the plan of a message type, or nil if it reaches no rules.
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

// add returns the plan of a type. A new plan is filled later.
func (c *compiler) add(d protoreflect.MessageDescriptor) *plan {
	p := c.plans[d]
	if p == nil {
		p = &plan{descriptor: d, any: d.FullName() == anyName}
		c.plans[d] = p
		c.order = append(c.order, p)
	}
	return p
}

// fill reads the rules of a type's fields, and adds the types that the fields refer to.
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

// droppable returns an error if a field must not be removed from a message.
func droppable(d protoreflect.FieldDescriptor) error {
	if o := d.ContainingOneof(); o != nil && !o.IsSynthetic() {
		return fmt.Errorf("older_peers must not be OLDER_PEERS_DROP: the field is in oneof %s", o.Name())
	}
	if d.Cardinality() == protoreflect.Required {
		return errors.New("older_peers must not be OLDER_PEERS_DROP: the field is required")
	}
	return nil
}

// valuesOf reads the rules of an enum's values. It returns nil if there are none. If a number has
// several names, the oldest counts, since only the number is sent.
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

// prune removes everything that need not be examined. It keeps types that have rules, and then,
// until nothing changes, types that refer to kept types.
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

// reaches reports whether a type is known to reach rules.
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

// counts reports whether a field is known to reach rules.
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

// compiled caches plans, and nil for types without rules or with unreadable options.
var compiled sync.Map // of *plan by protoreflect.MessageDescriptor

// planOf returns the plan of a type that is only known from a message. Malformed options count as
// no options, because it is too late to report them. Only plans of linked types are cached, because
// the number of other types is unbounded.
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
