package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// anyone is the pattern for all callers.
const anyone = "anyone"

// These are the names of the fields of a rule in a policy file.
const (
	fieldName      = "name"
	fieldFrom      = "from"
	fieldExchange  = "exchange"
	fieldTopic     = "topic"
	fieldNamespace = "namespace"
	fieldServer    = "server"
	fieldMethod    = "method"
	fieldDelivery  = "delivery"
	fieldServices  = "services"
)

// usual are the deliveries that a rule allows if it names none. Deliveries are all that a rule may
// name.
var (
	usual      = []rpc.Delivery{rpc.DeliveryCall, rpc.DeliveryCast, rpc.DeliveryMulticall, rpc.DeliveryStream, rpc.DeliveryInspect}
	deliveries = append(slices.Clone(usual), rpc.DeliveryAttach)
)

// New compiles a policy from its rules. The error is of kind [rpc.Invalid] and lists all mistakes.
func New(p trust.Policy) (*Policy, error) {
	if p.File != "" {
		return nil, failure.Invalid("a policy has rules or a file: leave one out")
	}
	compiled, err := compile(p, nil)
	if err != nil {
		return nil, failure.Invalid("policy: %v", err)
	}
	return compiled, nil
}

// compile compiles rules. Places are their places in a file, nil for rules of a program.
func compile(p trust.Policy, places []place) (*Policy, error) {
	c := compiler{places: places, names: map[string]int{}}
	compiled := &Policy{DryRun: p.DryRun, rules: make([]rule, len(p.Rules)), verdicts: newCache()}
	for i := range p.Rules {
		compiled.rules[i] = c.rule(i, &p.Rules[i])
	}
	if len(c.mistakes) > 0 {
		return nil, errors.Join(c.mistakes...)
	}
	return compiled, nil
}

// compiler compiles the rules of a policy, and collects mistakes.
type compiler struct {
	places   []place
	names    map[string]int // the rules by their names
	mistakes []error
}

func (c *compiler) rule(i int, source *trust.Rule) rule {
	r := rule{name: source.Name, source: copied(source)}
	if c.places != nil {
		r.line = c.places[i].line
	}
	if r.name == "" {
		r.name = fmt.Sprintf("rule %d", i+1)
	}
	wrong := func(field string, at int, format string, args ...any) {
		c.mistakes = append(c.mistakes, fmt.Errorf("%s%s: %s", c.at(i, r.name, field, at), field, fmt.Sprintf(format, args...)))
	}
	if first, taken := c.names[r.name]; taken {
		wrong(fieldName, 0, "rule %d is called %q, too: names must be unique", first+1, r.name)
	}
	c.names[r.name] = i
	r.anyone = slices.Contains(source.From, anyone)
	checkFrom(source.From, wrong)
	for _, from := range source.From {
		r.from = append(r.from, newPattern(folded(from), separator(from)))
	}
	for _, f := range receiver(source) {
		if f.texts != nil && len(f.texts) == 0 {
			wrong(f.name, 0, "the list is empty: leave it out to allow any")
		}
		*f.patterns(&r) = newPatterns(f.texts, 0)
	}
	checkDeliveries(source.Delivery, wrong)
	r.deliveries = slices.Clone(source.Delivery)
	if source.Services != nil {
		r.compileServices(source, wrong)
	}
	return r
}

// at returns the place of a mistake, as the beginning of an error text.
func (c *compiler) at(i int, name, field string, element int) string {
	if c.places == nil {
		return fmt.Sprintf("rule %d (%q): ", i+1, name)
	}
	return fmt.Sprintf("%d: rule %q: ", c.places[i].of(field, element), name)
}

// mistake is a function that records a mistake in an element of a field; at is the index of the
// element.
type mistake = func(field string, at int, format string, args ...any)

func checkFrom(from []string, wrong mistake) {
	if len(from) == 0 {
		wrong(fieldFrom, 0, "say which callers the rule is for, or %q for all", anyone)
	}
	for i, name := range from {
		switch kind, rest, hasKind := strings.Cut(name, ":"); {
		case name == anyone, strings.HasPrefix(name, "**"), hasKind && kind != "" && rest != "":
		case name == "*":
			wrong(fieldFrom, i, "write %q for all callers, or \"**\" for all that proved a name", anyone)
		default:
			wrong(fieldFrom, i, "%q is no name of a caller: names begin with their kind, as in \"dns:host7.example\"", name)
		}
	}
}

// separator returns the byte at which a single star in the name of a caller stops matching.
func separator(name string) byte {
	if isDNS(name) {
		return '.'
	}
	return '/'
}

func checkDeliveries(list []rpc.Delivery, wrong mistake) {
	if list != nil && len(list) == 0 {
		wrong(fieldDelivery, 0, "the list is empty: leave it out to allow any")
	}
	for i, d := range list {
		switch {
		case slices.Contains(deliveries, d):
		case d == rpc.DeliveryFanout:
			wrong(fieldDelivery, i, "a server sees each copy of a fanout as a cast: write %q", rpc.DeliveryCast)
		case d == rpc.DeliveryGather:
			wrong(fieldDelivery, i, "a server sees each copy of a gather as a call: write %q", rpc.DeliveryCall)
		default:
			wrong(fieldDelivery, i, "there is no delivery %q: take one of %s", d, joined(deliveries))
		}
	}
}

func joined(list []rpc.Delivery) string {
	texts := make([]string, len(list))
	for i, d := range list {
		texts[i] = string(d)
	}
	return strings.Join(texts, ", ")
}

// compileServices compiles a rule for plain gRPC services.
func (r *rule) compileServices(source *trust.Rule, wrong mistake) {
	r.plain, r.services, r.methods = true, patterns{}, patterns{} // nil would be any
	if len(source.Services) == 0 {
		wrong(fieldServices, 0, "the list is empty: name the services")
	}
	for i, text := range source.Services {
		switch {
		case text == "" || strings.HasPrefix(text, "/"):
			wrong(fieldServices, i, "%q is no service: write it as in \"grpc.health.v1.Health\" or \"grpc.health.v1.Health/Check\"", text)
		case strings.Contains(text, "/"):
			r.methods = append(r.methods, newPattern(text, '/'))
		default:
			r.services = append(r.services, newPattern(text, '/'))
		}
	}
	for _, f := range receiver(source) {
		if f.texts != nil {
			wrong(f.name, 0, "a rule for services allows no messages: write another rule for them")
		}
	}
	if source.Delivery != nil {
		wrong(fieldDelivery, 0, "a rule for services allows no messages: write another rule for them")
	}
}

// receiverField is a field of a rule about the receiver or the method of a message.
type receiverField struct {
	name     string
	texts    []string
	patterns func(*rule) *patterns
	asked    func(*Query) string
}

// receiver returns the fields of a rule about the receiver and the method of a message.
func receiver(r *trust.Rule) []receiverField {
	return []receiverField{
		{fieldExchange, r.Exchange, func(r *rule) *patterns { return &r.exchange }, func(q *Query) string { return q.Exchange }},
		{fieldTopic, r.Topic, func(r *rule) *patterns { return &r.topic }, func(q *Query) string { return q.Topic }},
		{fieldNamespace, r.Namespace, func(r *rule) *patterns { return &r.namespace }, func(q *Query) string { return q.Namespace }},
		{fieldServer, r.Server, func(r *rule) *patterns { return &r.server }, func(q *Query) string { return q.Server }},
		{fieldMethod, r.Method, func(r *rule) *patterns { return &r.method }, func(q *Query) string { return q.Method }},
	}
}

func copied(r *trust.Rule) trust.Rule {
	c := *r
	for _, list := range []*[]string{&c.From, &c.Exchange, &c.Topic, &c.Namespace, &c.Server, &c.Method, &c.Services} {
		*list = slices.Clone(*list)
	}
	c.Delivery = slices.Clone(c.Delivery)
	return c
}
