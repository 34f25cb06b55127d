package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

func TestMain(m *testing.M) { leak.Main(m) }

func certified(names ...string) rpc.Identity {
	return rpc.Identity{Proof: rpc.ProofTLS, Names: names}
}

func compiled(tb testing.TB, rules ...trust.Rule) *Policy {
	tb.Helper()
	p, err := New(trust.Policy{Rules: rules})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestDecide(t *testing.T) {
	t.Parallel()
	p := compiled(t,
		trust.Rule{
			Name: "agents", From: []string{"spiffe://cloud/host/*", "dns:*.agents.example"}, Exchange: []string{"nova"},
			Topic: []string{"conductor"}, Namespace: []string{""}, Method: []string{"object_action", "get_*"},
			Delivery: []rpc.Delivery{rpc.DeliveryCall, rpc.DeliveryCast},
		},
		trust.Rule{Name: "operators", From: []string{"user:0"}},
		trust.Rule{Name: "probes", From: []string{"anyone"}, Services: []string{"grpc.health.*", "grpc.reflection.v1.ServerReflection/*"}},
		trust.Rule{Name: "proved", From: []string{"**"}, Method: []string{"Ping"}, Delivery: []rpc.Delivery{rpc.DeliveryInspect}},
	)
	agent := certified("spiffe://cloud/host/7", "dns:Host7.Agents.example")
	usual := Query{Caller: agent, Exchange: "nova", Topic: "conductor", Server: "c1", Method: "get_it", Delivery: rpc.DeliveryCall}
	with := func(change func(*Query)) Query {
		q := usual
		change(&q)
		return q
	}
	for name, test := range map[string]struct {
		query Query
		want  string
	}{
		"as written":         {usual, "agents"},
		"the other name":     {with(func(q *Query) { q.Caller = certified("ip:10.0.0.1", "dns:Host7.Agents.example") }), "agents"},
		"an unknown name":    {with(func(q *Query) { q.Caller = certified("spiffe://cloud/other/7") }), ""},
		"no name":            {with(func(q *Query) { q.Caller = rpc.Identity{} }), ""},
		"another exchange":   {with(func(q *Query) { q.Exchange = "cinder" }), ""},
		"another topic":      {with(func(q *Query) { q.Topic = "conductors" }), ""},
		"another namespace":  {with(func(q *Query) { q.Namespace = "admin" }), ""},
		"unknown namespace":  {with(func(q *Query) { q.Namespace = Unknown }), ""},
		"another method":     {with(func(q *Query) { q.Method = "forget_it" }), ""},
		"cast":               {with(func(q *Query) { q.Delivery = rpc.DeliveryCast }), "agents"},
		"multicall":          {with(func(q *Query) { q.Delivery = rpc.DeliveryMulticall }), ""},
		"root does anything": {Query{Caller: rpc.Identity{Proof: rpc.ProofUser, Names: []string{"user:0"}}, Namespace: Unknown}, "operators"},
		"but no services": {Query{
			Caller: rpc.Identity{Proof: rpc.ProofUser, Names: []string{"user:0"}}, Service: "other.Service/Method",
		}, ""},
		"health":            {Query{Service: "grpc.health.v1.Health/Check"}, "probes"},
		"reflection":        {Query{Service: "grpc.reflection.v1.ServerReflection/ServerReflectionInfo"}, "probes"},
		"old reflection":    {Query{Service: "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"}, ""},
		"no message":        {Query{Topic: "conductor", Method: "get_it", Delivery: rpc.DeliveryCall}, ""},
		"a proved name":     {Query{Caller: certified("ip:10.0.0.1"), Method: "Ping", Delivery: rpc.DeliveryInspect}, "proved"},
		"not even unproved": {Query{Method: "Ping", Delivery: rpc.DeliveryInspect}, ""},
	} {
		for range 2 { // the second verdict is a remembered one
			got := ""
			if verdict := p.Decide(&test.query); verdict != Denied {
				got = p.Rules()[verdict]
			}
			if got != test.want {
				t.Errorf("%s: allowed by %q, want %q", name, got, test.want)
			}
		}
		e := p.Explain(&test.query)
		if e.Allowed != (test.want != "") || e.Allowed && e.Rule != test.want || e.Allowed != (len(e.Misses) == 0) {
			t.Errorf("%s: explained as %+v, want %q", name, e, test.want)
		}
	}
}

// naively decides as the documentation describes.
func naively(rules []trust.Rule, q *Query) int {
	one := func(list []string, text string, separator byte) bool {
		return list == nil || slices.ContainsFunc(list, func(p string) bool { return naive(p, separator, text) })
	}
	return slices.IndexFunc(rules, func(r trust.Rule) bool {
		caller := slices.Contains(r.From, "anyone") || slices.ContainsFunc(q.Caller.Names, func(name string) bool {
			return slices.ContainsFunc(r.From, func(p string) bool {
				if strings.HasPrefix(p, "dns:") {
					return naive(strings.ToLower(p), '.', strings.ToLower(name))
				}
				return naive(p, '/', name)
			})
		})
		if !caller || (q.Service == "") != (r.Services == nil) {
			return false
		}
		if q.Service != "" {
			service, _, _ := strings.Cut(q.Service, "/")
			return slices.ContainsFunc(r.Services, func(p string) bool {
				return strings.Contains(p, "/") && naive(p, '/', q.Service) || !strings.Contains(p, "/") && naive(p, '/', service)
			})
		}
		return one(r.Exchange, q.Exchange, 0) && one(r.Topic, q.Topic, 0) && one(r.Namespace, q.Namespace, 0) && one(r.Server, q.Server, 0) &&
			one(r.Method, q.Method, 0) && (r.Delivery == nil && q.Delivery != rpc.DeliveryAttach || slices.Contains(r.Delivery, q.Delivery))
	})
}

// chance generates rules and queries from few words, so that many of them match.
type chance struct{ *rand.Rand }

func (c chance) of(list ...string) string { return list[c.IntN(len(list))] }

// some returns nil or a list.
func (c chance) some(list ...string) []string {
	if c.IntN(2) == 0 {
		return nil
	}
	return []string{c.of(list...), c.of(list...)}
}

func (c chance) rule() trust.Rule {
	r := trust.Rule{From: []string{
		c.of("anyone", "dns:*.A", "dns:x.a", "dns:**.a", "uri:a/*", "uri:a/**", "uri:**/b", "**"), c.of("dns:a", "uri:b"),
	}}
	if c.IntN(5) == 0 {
		r.Services = []string{c.of("s.*", "s.A", "s.A/*", "s.*/b"), c.of("t.B", "s.B/a")}
		return r
	}
	r.Exchange, r.Topic, r.Namespace = c.some("a", "b", "*"), c.some("a", "b*", "*a"), c.some("", "a")
	r.Server, r.Method = c.some("a", "", "b*"), c.some("a", "get_*", "*")
	if c.IntN(2) == 0 {
		r.Delivery = []rpc.Delivery{deliveries[c.IntN(len(deliveries))], rpc.DeliveryCall}
	}
	return r
}

func (c chance) query() *Query {
	q := &Query{}
	for range c.IntN(3) {
		q.Caller.Names = append(q.Caller.Names, c.of("dns:x.A", "dns:y.x.a", "uri:a/b", "uri:a/b/c", "uri:b", "user:1"))
	}
	if c.IntN(5) == 0 {
		q.Service = c.of("s.A/a", "s.A/b", "s.B/a", "s.B/b", "t.B/a", "t.C/a", "s.A")
		return q
	}
	q.Exchange, q.Topic, q.Namespace, q.Server = c.of("a", "c"), c.of("a", "ba", "c", ""), c.of("", "a", Unknown), c.of("", "a", "bb")
	q.Method, q.Delivery = c.of("a", "get_a", "b"), deliveries[c.IntN(len(deliveries))]
	return q
}

// agree fails unless the policy and the naive implementation agree about random rules and queries.
func agree(t *testing.T, seed uint64) (allowed int) {
	t.Helper()
	c := chance{rand.New(rand.NewPCG(seed, 0))}
	rules := make([]trust.Rule, c.IntN(6))
	for i := range rules {
		rules[i] = c.rule()
	}
	p := compiled(t, rules...)
	for range 200 {
		q := c.query()
		want, got := naively(rules, q), p.Decide(q)
		if got != want || p.Decide(q) != want {
			t.Fatalf("seed %d: the verdict is %d, want %d\nrules %+v\nquestion %+v", seed, got, want, rules, q)
		}
		if e := p.Explain(q); e.Allowed != (want >= 0) || want >= 0 && e.Rule != p.Rules()[want] {
			t.Fatalf("seed %d: it is explained as %+v, and the verdict is %d", seed, e, want)
		}
		if want >= 0 {
			allowed++
		}
	}
	return allowed
}

func TestPolicyDecidesAsTheNaiveOne(t *testing.T) {
	t.Parallel()
	allowed := 0
	for seed := range uint64(500) {
		allowed += agree(t, seed)
	}
	if allowed < 10_000 || allowed > 90_000 {
		t.Errorf("%d of 100000 questions were allowed, so the others prove little", allowed)
	}
}

func FuzzDecide(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { agree(t, seed) })
}

// Many goroutines use a policy, with more queries than it caches.
func TestDecideConcurrently(t *testing.T) {
	t.Parallel()
	p := compiled(t, trust.Rule{From: []string{"anyone"}, Method: []string{"*1"}})
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for i := range 4 * cached {
				method := fmt.Sprint(i)
				if got := p.Decide(&Query{Method: method}) == 0; got != strings.HasSuffix(method, "1") {
					t.Errorf("%s is allowed: %v", method, got)
				}
			}
		})
	}
	asking.Wait()
}

// Long queries are answered and not cached.
func TestLongQuestions(t *testing.T) {
	t.Parallel()
	p := compiled(t, trust.Rule{From: []string{"anyone"}, Method: []string{"a*"}})
	q := &Query{Method: strings.Repeat("a", maxCached+1)}
	if p.Decide(q) != 0 {
		t.Error("it was denied")
	}
	if slot, _ := p.verdicts.find(q); slot == nil {
		t.Error("it was kept")
	}
}

// A rule copies the slices of a program.
func TestRulesAreCopied(t *testing.T) {
	t.Parallel()
	from, delivery := []string{"user:1"}, []rpc.Delivery{rpc.DeliveryCall}
	p := compiled(t, trust.Rule{From: from, Delivery: delivery})
	from[0], delivery[0] = "anyone", rpc.DeliveryCast
	if p.Decide(&Query{Delivery: rpc.DeliveryCast}) != Denied {
		t.Error("the policy changed")
	}
}

func BenchmarkDecide(b *testing.B) {
	rules := make([]trust.Rule, 100)
	for i := range rules {
		rules[i] = trust.Rule{
			From: []string{fmt.Sprintf("spiffe://cloud/host/%d/*", i)}, Exchange: []string{"nova"}, Topic: []string{"conductor"},
			Method: []string{fmt.Sprintf("get_%d_*", i), "object_*"}, Delivery: []rpc.Delivery{rpc.DeliveryCall},
		}
	}
	p := compiled(b, rules...)
	q := &Query{
		Caller: certified("spiffe://cloud/host/99/agent", "dns:host99.example"), Exchange: "nova", Topic: "conductor", Server: "c1",
		Method: "object_action", Delivery: rpc.DeliveryCall,
	}
	for name, decide := range map[string]func(*Query) int{"remembered": p.Decide, "anew": p.scan} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if decide(q) != 99 {
					b.Fatal("it was denied")
				}
			}
		})
	}
}
