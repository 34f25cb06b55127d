package policy

import (
	"cmp"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Case is a query with its expected verdict.
type Case struct {
	// Line is the line of the case in its file.
	Line int
	Query
	// Allowed is the expected verdict. Rule is the rule that must allow the query, empty for any.
	Allowed bool
	Rule    string
}

// These are the names of the fields of a case, besides the fields of a rule.
const (
	fieldService = "service"
	fieldExpect  = "expect"
	fieldRule    = "rule"
)

// These are the verdicts that a case can expect.
const (
	expectAllowed = "allowed"
	expectDenied  = "denied"
)

// ParseCases parses a table of cases. An error is of kind [rpc.Invalid], and lists all mistakes
// with their lines. Name is the name of the file in errors.
func ParseCases(name string, text []byte) ([]Case, error) {
	r := reader{}
	var list []Case
	if root := r.root(text, "the file is empty: write a list of cases"); root != nil {
		if root.Kind != yaml.SequenceNode {
			r.wrongf(root.Line, "a table must be a list of cases")
		}
		for _, node := range root.Content {
			list = append(list, r.testCase(resolved(node)))
		}
	}
	if len(r.mistakes) > 0 {
		return nil, r.failure(name)
	}
	return list, nil
}

func (r *reader) testCase(node *yaml.Node) Case {
	c := Case{Line: node.Line, Query: Query{Exchange: rpc.DefaultExchange, Delivery: rpc.DeliveryCall}}
	var expect, delivery string
	one := func(into *string) func(key, value *yaml.Node) {
		return func(key, value *yaml.Node) {
			list, _ := r.texts(key, value)
			if len(list) != 1 {
				r.wrongf(key.Line, "`%s` must be one text", key.Value)
				return
			}
			*into = list[0]
		}
	}
	r.mapping(node, "a case", map[string]func(key, value *yaml.Node){
		fieldFrom:     func(key, value *yaml.Node) { c.Caller.Names, _ = r.texts(key, value) },
		fieldExchange: one(&c.Exchange), fieldTopic: one(&c.Topic), fieldNamespace: one(&c.Namespace), fieldServer: one(&c.Server),
		fieldMethod: one(&c.Method), fieldDelivery: one(&delivery), fieldService: one(&c.Service),
		fieldExpect: one(&expect), fieldRule: one(&c.Rule),
	})
	c.Caller.Names = slices.DeleteFunc(c.Caller.Names, func(name string) bool { return name == anyone })
	c.Delivery = rpc.Delivery(cmp.Or(delivery, string(c.Delivery)))
	c.Allowed = expect == expectAllowed
	switch {
	case !slices.Contains(deliveries, c.Delivery):
		r.wrongf(node.Line, "there is no delivery %q: take one of %s", c.Delivery, joined(deliveries))
	case expect != expectAllowed && expect != expectDenied:
		r.wrongf(node.Line, "`expect` must be %s or %s", expectAllowed, expectDenied)
	case c.Rule != "" && !c.Allowed:
		r.wrongf(node.Line, "no rule denies: leave `rule` out")
	}
	return c
}
