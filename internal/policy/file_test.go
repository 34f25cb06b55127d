package policy

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

const example = `mode: dry-run
rules:
  - name: agents report
    from: ["spiffe://cloud/host/*", "dns:*.agents.example", "user:1000"]
    exchange: nova
    topic: conductor
    namespace: [""]
    server: "*"
    method: [object_action, "get_*"]
    delivery: [call, cast]
  - from: anyone
    services:
      - grpc.health.v1.Health
`

func TestParse(t *testing.T) {
	t.Parallel()
	p, err := Parse("p.yaml", []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	if !p.DryRun || strings.Join(p.Rules(), ",") != "agents report,rule 2" {
		t.Errorf("the rules are %q, dry run is %v", p.Rules(), p.DryRun)
	}
	q := &Query{
		Caller: certified("dns:a.agents.example"), Exchange: "nova", Topic: "conductor", Method: "get_x", Delivery: rpc.DeliveryCast,
	}
	if p.Decide(q) != 0 || p.Decide(&Query{Service: "grpc.health.v1.Health/Watch"}) != 1 {
		t.Error("a rule is not as it was written")
	}
	q.Method = "set_x"
	if e := p.Explain(q); e.Rule != "agents report" || e.Line != 3 || len(e.Misses) != 1 || e.Misses[0].Field != "method" ||
		e.Misses[0].Got != "set_x" || strings.Join(e.Misses[0].Want, ",") != "object_action,get_*" {
		t.Errorf("explained as %+v", e)
	}
	if p, err := Parse("p.yaml", []byte("rules: []")); err != nil || p.DryRun || p.Decide(&Query{}) != Denied {
		t.Errorf("without rules: %v", err)
	}
}

// broken are files with mistakes, and the expected errors.
var broken = map[string]struct {
	text string
	says []string
}{
	"empty":                     {"", []string{"1: the file is empty"}},
	"a comment":                 {"# rules\n", []string{"1: "}},
	"a text":                    {"rules", []string{"1: a policy must be a mapping"}},
	"no rules":                  {"mode: enforce\n", []string{"1: `rules` is missing"}},
	"null rules":                {"rules:\n", []string{"1: `rules` must be a list"}},
	"no YAML":                   {"rules:\n  - from: [a\n  - b: c\n", []string{"3: "}},
	"a tab":                     {"rules:\n\t- from: a\n", []string{"2: "}},
	"two documents":             {"rules: []\n---\nrules: []\n", []string{"second document"}},
	"an unknown key":            {"rules: []\nmodes: x\n", []string{`2: a policy has no key "modes": the keys are mode, rules`}},
	"an unknown field":          {"rules:\n  - from: anyone\n    topics: a\n", []string{`3: a rule has no key "topics"`}},
	"a key twice":               {"rules:\n  - from: anyone\n    from: anyone\n", []string{`3: a rule has the key "from" twice`}},
	"an unknown mode":           {"mode: dry\nrules: []\n", []string{"1: `mode` must be enforce or dry-run"}},
	"a rule that is no mapping": {"rules:\n  - from\n", []string{"2: a rule must be a mapping"}},
	"a number":                  {"rules:\n  - from: anyone\n    topic: 5\n", []string{"3: `topic` must be a text"}},
	"null":                      {"rules:\n  - from: anyone\n    topic:\n", []string{"3: `topic` must be a text"}},
	"a nested list":             {"rules:\n  - from: anyone\n    topic:\n      - a\n      - [b]\n", []string{"5: `topic` must be a text"}},
	"an empty list":             {"rules:\n  - from: anyone\n    topic: []\n", []string{"3: ", "the list is empty"}},
	"no callers":                {"rules:\n  - topic: a\n", []string{`2: rule "rule 1": from: say which callers`}},
	"a bare name":               {"rules:\n  - from:\n      - anyone\n      - host7\n", []string{`4: rule "rule 1": from: "host7" is no name`}},
	"a bare star":               {"rules:\n  - from: '*'\n", []string{`2: rule "rule 1": from: write "anyone"`}},
	"a fanout":                  {"rules:\n  - from: anyone\n    delivery: fanout\n", []string{`3: `, `write "cast"`}},
	"a gather":                  {"rules:\n  - from: anyone\n    delivery: gather\n", []string{`3: `, `write "call"`}},
	"no delivery":               {"rules:\n  - from: anyone\n    delivery: [call,\n      calls]\n", []string{`4: `, `there is no delivery "calls"`}},
	"a name twice":              {"rules:\n  - {name: a, from: anyone}\n  - {name: a, from: anyone}\n", []string{`3: `, "names must be unique"}},
	"two names":                 {"rules:\n  - {name: [a, b], from: anyone}\n", []string{"2: `name` must be one text"}},
	"services and more":         {"rules:\n  - from: anyone\n    services: a\n    topic: b\n", []string{`4: `, "a rule for services allows no messages"}},
	"no service":                {"rules:\n  - from: anyone\n    services: /a/b\n", []string{`3: `, "is no service"}},
	"two mistakes":              {"rules:\n  - topic: a\n  - from: x\n", []string{"p.yaml:2: ", "p.yaml:3: "}},
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range broken {
		p, err := Parse("p.yaml", []byte(test.text))
		if !errors.Is(err, rpc.Invalid) {
			t.Errorf("%s: got %v, %v", name, p, err)
			continue
		}
		for _, part := range append(test.says, "p.yaml:") {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q does not say %q", name, err, part)
			}
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		policy trust.Policy
		says   string
	}{
		{trust.Policy{File: "a", Rules: []trust.Rule{}}, "leave one out"},
		{trust.Policy{Rules: []trust.Rule{{Name: "a", From: []string{"anyone"}}, {Name: "b"}}}, `rule 2 ("b"): from: say which callers`},
	} {
		if _, err := New(test.policy); !errors.Is(err, rpc.Invalid) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("got %v, want %q", err, test.says)
		}
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	if _, err := Load(path); !errors.Is(err, rpc.Invalid) || !strings.Contains(err.Error(), path) {
		t.Errorf("without a file: %v", err)
	}
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(example)
	if _, err := Load(path); err != nil {
		t.Error(err)
	}
	write(strings.Repeat("#\n", maxFile))
	if _, err := Load(path); !errors.Is(err, rpc.Invalid) || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a large file: %v", err)
	}
}

// A file either has an error of the right kind or is a usable policy.
func FuzzParse(f *testing.F) {
	f.Add(example)
	f.Add("rules: [&a {from: anyone}, *a]")
	for _, test := range broken {
		f.Add(test.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse("p.yaml", []byte(text))
		if err != nil {
			if !errors.Is(err, rpc.Invalid) || !strings.Contains(err.Error(), "p.yaml:") {
				t.Errorf("got %v", err)
			}
			return
		}
		q := &Query{Caller: certified("dns:a"), Topic: "b", Method: "c", Delivery: rpc.DeliveryCall}
		if e := p.Explain(q); e.Allowed != (p.Decide(q) != Denied) {
			t.Errorf("explained as %+v", e)
		}
	})
}

func TestParseCases(t *testing.T) {
	t.Parallel()
	list, err := ParseCases("t.yaml", []byte("- {from: anyone, expect: denied}\n- from: [a, b]\n  delivery: cast\n  expect: allowed\n  rule: r\n"))
	if err != nil || len(list) != 2 {
		t.Fatalf("got %v, %v", list, err)
	}
	one, two := list[0], list[1]
	if one.Line != 1 || one.Caller.Names == nil || len(one.Caller.Names) > 0 || one.Allowed || one.Delivery != rpc.DeliveryCall ||
		one.Exchange != rpc.DefaultExchange {
		t.Errorf("the first is %+v", one)
	}
	if two.Line != 2 || strings.Join(two.Caller.Names, ",") != "a,b" || !two.Allowed || two.Delivery != rpc.DeliveryCast || two.Rule != "r" {
		t.Errorf("the second is %+v", two)
	}
	for text, says := range map[string]string{
		"": "1: the file is empty", "a: b": "1: a table must be a list", "- a": "1: a case must be a mapping",
		"- {expect: denied, topic: [a, b]}": "`topic` must be one text", "- {expect: denied, delivery: x}": "there is no delivery",
		"- {expect: denied, rule: r}": "no rule denies", "- {topic: a}": "`expect` must be",
	} {
		if _, err := ParseCases("t.yaml", []byte(text)); !errors.Is(err, rpc.Invalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %v, want %q", text, err, says)
		}
	}
}
