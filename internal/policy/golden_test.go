package policy

import (
	"encoding/json"
	"testing"

	"github.com/oslorpc/oslorpc/internal/golden"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

const goldenFile = "trust.json"

// Policies mean the same in all languages.
func TestGoldenVerdicts(t *testing.T) {
	t.Parallel()
	for _, c := range golden.Load[struct {
		Case      string          `json:"case"`
		Policy    json.RawMessage `json:"policy"`
		Names     []string        `json:"names"`
		Exchange  string          `json:"exchange"`
		Topic     string          `json:"topic"`
		Namespace string          `json:"namespace"`
		Server    string          `json:"server"`
		Method    string          `json:"method"`
		Delivery  string          `json:"delivery"`
		Service   string          `json:"service"`
		// Rule is the rule that allows it. It is empty if none does.
		Rule string `json:"rule"`
	}](t, goldenFile, "verdicts") {
		p, err := Parse(goldenFile, c.Policy)
		if err != nil {
			t.Fatal(err)
		}
		q := Query{
			Caller: rpc.Identity{Names: c.Names}, Exchange: c.Exchange, Topic: c.Topic, Namespace: c.Namespace,
			Server: c.Server, Method: c.Method, Delivery: rpc.Delivery(c.Delivery), Service: c.Service,
		}
		if got := p.Rule(p.Decide(&q)); got != c.Rule {
			t.Errorf("%s: allowed by %q, want %q", c.Case, got, c.Rule)
		}
	}
}

func TestGoldenPatterns(t *testing.T) {
	t.Parallel()
	for _, c := range golden.Load[struct {
		Pattern   string `json:"pattern"`
		Separator string `json:"separator"`
		Text      string `json:"text"`
		Matches   bool   `json:"matches"`
	}](t, goldenFile, "patterns") {
		var separator byte
		if c.Separator != "" {
			separator = c.Separator[0]
		}
		if got := matches(c.Pattern, separator, c.Text); got != c.Matches {
			t.Errorf("%q matches %q: %v", c.Pattern, c.Text, got)
		}
	}
}

func TestGoldenWrongPolicies(t *testing.T) {
	t.Parallel()
	for _, c := range golden.Load[struct {
		Case   string          `json:"case"`
		Policy json.RawMessage `json:"policy"`
	}](t, goldenFile, "wrong_policies") {
		if _, err := Parse(goldenFile, c.Policy); err == nil {
			t.Errorf("%s is no mistake", c.Case)
		}
	}
}
