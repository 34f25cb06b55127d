package identity

import (
	"testing"

	"github.com/oslorpc/oslorpc/internal/golden"
)

const goldenFile = "trust.json"

// Templates give servers the same names in all languages.
func TestGoldenTemplates(t *testing.T) {
	t.Parallel()
	for _, c := range golden.Load[struct {
		Template string `json:"template"`
		Exchange string `json:"exchange"`
		Topic    string `json:"topic"`
		Server   string `json:"server"`
		// Name is empty if no certificate can contain the name.
		Name string `json:"name"`
	}](t, goldenFile, "templates") {
		parsed, err := ParseTemplate(c.Template)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parsed.Name(&Server{c.Exchange, c.Topic, c.Server}); got != c.Name || (err == nil) != (c.Name != "") {
			t.Errorf("%s: got %q, %v, want %q", c.Template, got, err, c.Name)
		}
	}
	for _, c := range golden.Load[struct {
		Template string `json:"template"`
	}](t, goldenFile, "wrong_templates") {
		if _, err := ParseTemplate(c.Template); err == nil {
			t.Errorf("%q is no mistake", c.Template)
		}
	}
}
