package publicapi

import (
	"bytes"
	"fmt"
	"go/types"
	"slices"
	"strings"
)

// entry is one exported name: its text in a golden file, and its object.
type entry struct {
	text   string
	object types.Object
}

// surface returns the exported names of a package, sorted by text: constants, fields of structs,
// functions, methods, types and variables.
func surface(p *types.Package) []entry {
	s := &surfaceOf{pkg: p}
	for _, name := range p.Scope().Names() {
		if object := p.Scope().Lookup(name); object.Exported() {
			s.add(object)
		}
	}
	slices.SortFunc(s.entries, func(a, b entry) int { return strings.Compare(a.text, b.text) })
	return s.entries
}

type surfaceOf struct {
	pkg     *types.Package
	entries []entry
}

func (s *surfaceOf) putf(object types.Object, format string, args ...any) {
	s.entries = append(s.entries, entry{fmt.Sprintf(format, args...), object})
}

// qualify writes names of other packages with the name of the package.
func (s *surfaceOf) qualify(p *types.Package) string {
	if p == s.pkg {
		return ""
	}
	return p.Name()
}

func (s *surfaceOf) text(t types.Type) string { return types.TypeString(t, s.qualify) }

func (s *surfaceOf) add(object types.Object) {
	switch o := object.(type) {
	case *types.Const:
		s.putf(o, "const %s %s = %s", o.Name(), s.text(o.Type()), o.Val())
	case *types.Func:
		s.putf(o, "%s", types.ObjectString(o, s.qualify))
	case *types.TypeName:
		s.addType(o)
	case *types.Var:
		s.putf(o, "var %s %s", o.Name(), s.text(o.Type()))
	}
}

// addType adds a type with its fields and methods. The parts of an alias belong to the package that
// declares its type, unless programs cannot import that package.
func (s *surfaceOf) addType(name *types.TypeName) {
	switch t := name.Type().(type) {
	case *types.Alias:
		s.putf(name, "type %s%s = %s", name.Name(), s.parameters(t.TypeParams()), s.text(t.Rhs()))
		if named, is := types.Unalias(t).(*types.Named); is && isInternal(named.Obj().Pkg()) {
			s.addParts(name.Name(), named)
		}
	case *types.Named:
		s.putf(name, "type %s%s %s", name.Name(), s.parameters(t.TypeParams()), s.kind(t.Underlying()))
		s.addParts(name.Name(), t)
	}
}

func isInternal(p *types.Package) bool {
	return p != nil && strings.HasPrefix(p.Path(), module) && !isPublic(p.Path())
}

func (s *surfaceOf) parameters(list *types.TypeParamList) string {
	if list.Len() == 0 {
		return ""
	}
	texts := make([]string, 0, list.Len())
	for p := range list.TypeParams() {
		texts = append(texts, p.Obj().Name()+" "+s.text(p.Constraint()))
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

// kind describes an underlying type. The fields of a struct and the methods of an interface have
// separate lines.
func (s *surfaceOf) kind(t types.Type) string {
	switch t := t.(type) {
	case *types.Struct:
		return "struct"
	case *types.Interface:
		for m := range t.Methods() {
			if !m.Exported() {
				return "interface with unexported methods"
			}
		}
		return "interface"
	default:
		return s.text(t)
	}
}

func (s *surfaceOf) addParts(name string, t *types.Named) {
	if fields, is := t.Underlying().(*types.Struct); is {
		for f := range fields.Fields() {
			if f.Exported() {
				s.putf(f, "field %s.%s %s", name, f.Name(), s.text(f.Type()))
			}
		}
	}
	if _, is := t.Underlying().(*types.Interface); is {
		s.addMethods(name, t)
		return
	}
	s.addMethods(name, types.NewPointer(t)) // has the methods of both
}

func (s *surfaceOf) addMethods(name string, t types.Type) {
	for selection := range types.NewMethodSet(t).Methods() {
		m := selection.Obj().(*types.Func)
		if !m.Exported() {
			continue
		}
		signature := m.Signature()
		receiver := name
		if _, pointer := signature.Recv().Type().(*types.Pointer); pointer {
			receiver = "*" + name
		}
		var text bytes.Buffer
		types.WriteSignature(&text, signature, s.qualify)
		s.putf(m, "method (%s) %s%s", receiver, m.Name(), &text)
	}
}
