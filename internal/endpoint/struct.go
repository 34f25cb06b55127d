package endpoint

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/similar"
)

// Struct stands for the methods of a Go value that are suitable as RPCs, with changes such as other
// names. It is immutable: its methods return a changed copy. The zero value has no methods.
type Struct struct {
	value   any
	given   bool
	changes []func(*plan)
}

// Of returns the methods of a value.
func Of(v any) Struct { return Struct{value: v, given: true} }

// Rename sets the name of a Go method in messages.
func (s Struct) Rename(goName, name string) Struct {
	return s.with(func(p *plan) { p.names[goName] = name })
}

// DigitsAsWords makes each run of digits in a Go name a separate word.
func (s Struct) DigitsAsWords() Struct {
	return s.with(func(p *plan) { p.digits = true })
}

// Omit leaves Go methods out.
func (s Struct) Omit(goNames ...string) Struct {
	return s.with(func(p *plan) {
		for _, name := range goNames {
			p.omitted[name] = true
		}
	})
}

// Expose marks Go methods as [Method.Expose] does.
func (s Struct) Expose(goNames ...string) Struct { return s.mark("Expose", goNames, Method.Expose) }

// Since marks Go methods as [Method.Since] does.
func (s Struct) Since(version string, goNames ...string) Struct {
	return s.mark("Since", goNames, func(m Method) Method { return m.Since(version) })
}

// Deprecated marks Go methods as [Method.Deprecated] does.
func (s Struct) Deprecated(version string, goNames ...string) Struct {
	return s.mark("Deprecated", goNames, func(m Method) Method { return m.Deprecated(version) })
}

// Expect marks a Go method as [Method.Expect] does.
func (s Struct) Expect(goName string, errs ...error) Struct {
	return s.mark("Expect", []string{goName}, func(m Method) Method { return m.Expect(errs...) })
}

// mark applies a change, such as Since, to Go methods. It is an error to name no method.
func (s Struct) mark(mark string, goNames []string, change func(Method) Method) Struct {
	return s.with(func(p *plan) {
		if len(goNames) == 0 && p.err == nil {
			p.err = failure.Invalid("%s was given no method of %T: name the methods that it is for", mark, s.value)
		}
		for _, name := range goNames {
			p.marks[name] = append(p.marks[name], change)
		}
	})
}

func (s Struct) with(change func(*plan)) Struct {
	s.changes = append(slices.Clip(s.changes), change)
	return s
}

// methods returns the methods by their names in messages.
func (s Struct) methods() (map[string]Method, error) {
	if !s.given && len(s.changes) == 0 {
		return nil, nil //nolint:nilnil // There are none.
	}
	value := reflect.ValueOf(s.value)
	if !value.IsValid() {
		return nil, failure.Invalid("Methods was given nil")
	}
	p := newPlan(s.changes)
	methods := map[string]Method{}
	for i := range value.NumMethod() {
		goName := value.Type().Method(i).Name
		if p.omits(goName) {
			continue
		}
		m, ok := methodOf(value, i)
		if !ok {
			continue
		}
		name, m := p.take(goName, m)
		if _, twice := methods[name]; twice {
			return nil, failure.Invalid("%T has two methods that are named %q: rename one with Rename", s.value, name)
		}
		methods[name] = m
	}
	if len(methods) == 0 {
		return nil, s.shapeless()
	}
	if missing := p.unused(); len(missing) > 0 {
		return nil, s.missing(missing[0], value)
	}
	return methods, p.err
}

// missing returns the error for a name, such as an argument of Rename, that no suitable method has.
func (s Struct) missing(goName string, value reflect.Value) error {
	var known []string
	for i := range value.NumMethod() {
		if _, ok := methodOf(value, i); ok {
			known = append(known, value.Type().Method(i).Name)
		}
	}
	return failure.Invalid("%T has no method %s that looks like func(ctx, struct) (R, error)%s", s.value, goName,
		similar.DidYouMean(goName, known, "it has "+strings.Join(known, ", ")))
}

// shapeless returns the error for a value without suitable methods.
func (s Struct) shapeless() error {
	hint := ""
	if reflect.TypeOf(s.value).Kind() != reflect.Pointer {
		hint = fmt.Sprintf("; pass &%T{} if the receivers are pointers", s.value)
	}
	return failure.Invalid("Methods(%T): no exported method looks like func(ctx, struct) (R, error)%s", s.value, hint)
}

// plan has the changes to Go methods, by their Go names. A change is removed once its method was
// found, so that the changes for unknown methods are left.
type plan struct {
	names   map[string]string
	marks   map[string][]func(Method) Method
	omitted map[string]bool
	digits  bool  // a run of digits is a word
	err     error // the first change that names no method at all
}

func newPlan(changes []func(*plan)) *plan {
	p := &plan{names: map[string]string{}, marks: map[string][]func(Method) Method{}, omitted: map[string]bool{}}
	for _, change := range changes {
		change(p)
	}
	return p
}

// take returns the name of a method in messages, and the method with its changes. It removes them
// from the plan.
func (p *plan) take(goName string, m Method) (string, Method) {
	name, renamed := p.names[goName]
	if !renamed {
		name = snakeCase(goName, p.digits)
	}
	for _, mark := range p.marks[goName] {
		m = mark(m)
	}
	delete(p.names, goName)
	delete(p.marks, goName)
	return name, m
}

// omits reports whether a method is left out. In that case it removes all changes to the method
// from the plan.
func (p *plan) omits(goName string) bool {
	omitted := p.omitted[goName]
	if omitted {
		delete(p.omitted, goName)
		delete(p.names, goName)
		delete(p.marks, goName)
	}
	return omitted
}

// unused returns the names of changes for which no method was found, sorted.
func (p *plan) unused() []string {
	names := slices.Concat(slices.Collect(maps.Keys(p.names)), slices.Collect(maps.Keys(p.marks)), slices.Collect(maps.Keys(p.omitted)))
	slices.Sort(names)
	return names
}
