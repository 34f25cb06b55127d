package policy

import (
	"slices"
	"strings"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Explanation says why a policy gives a verdict.
type Explanation struct {
	Allowed bool
	// Rule is the rule that allows the query, or else the rule that comes closest. It is empty if
	// the policy has no rule for this type of query.
	Rule string
	// Line is the line of the rule in its file, 0 if the rule is not in a file.
	Line int
	// Misses are the parts of the query that do not match the closest rule. There are none if the
	// query is allowed.
	Misses []Miss
}

// Miss is a part of a query that does not match a rule.
type Miss struct {
	// Field is the field of the rule.
	Field string
	// Got is the value in the query, and Want are the patterns of the rule.
	Got  string
	Want []string
}

// Explain says why a query gets its verdict.
func (p *Policy) Explain(q *Query) Explanation {
	names := proved(q.Caller)
	var closest Explanation
	for i := range p.rules {
		r := &p.rules[i]
		if r.plain != (q.Service != "") {
			continue
		}
		misses := r.misses(q, names)
		e := Explanation{Allowed: len(misses) == 0, Rule: r.name, Line: r.line, Misses: misses}
		if e.Allowed {
			return e
		}
		if closest.Rule == "" || closer(misses, closest.Misses) {
			closest = e
		}
	}
	return closest
}

// closer reports whether a rule comes closer to a query than another one: it has fewer misses, or
// the same number but matches the caller.
func closer(misses, others []Miss) bool {
	if len(misses) != len(others) {
		return len(misses) < len(others)
	}
	isFrom := func(m Miss) bool { return m.Field == fieldFrom }
	return !slices.ContainsFunc(misses, isFrom) && slices.ContainsFunc(others, isFrom)
}

func (r *rule) misses(q *Query, names []string) (list []Miss) {
	if !r.allowsCaller(names) {
		list = append(list, Miss{fieldFrom, strings.Join(q.Caller.Names, " "), r.source.From})
	}
	if r.plain {
		if !r.allowsService(q.Service) {
			list = append(list, Miss{fieldServices, q.Service, r.source.Services})
		}
		return list
	}
	for _, f := range receiver(&r.source) {
		if got := f.asked(q); !f.patterns(r).match(got) {
			list = append(list, Miss{f.name, got, f.texts})
		}
	}
	if !r.allowsDelivery(q.Delivery) {
		allowed := r.deliveries
		if allowed == nil {
			allowed = usual
		}
		list = append(list, Miss{fieldDelivery, string(q.Delivery), strings.Split(joined(allowed), ", ")})
	}
	return list
}

// Deliveries are the deliveries that a rule may allow.
func Deliveries() []rpc.Delivery { return slices.Clone(deliveries) }
