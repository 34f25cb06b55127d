package security

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// setting is a field of the configuration that a URL or the environment can set.
type setting struct {
	parameter string // of the transport URL
	variable  string // of the environment
	field     string // as errors name it
	value     func(*trust.Config) *string
	// files is true for settings that TLS, Credentials and Source replace.
	files bool
}

var settings = []setting{
	{"ca", trust.CAVariable, "trust.Config.CA", func(c *trust.Config) *string { return &c.CA }, true},
	{"cert", trust.CertVariable, "trust.Config.Cert", func(c *trust.Config) *string { return &c.Cert }, true},
	{"key", trust.KeyVariable, "trust.Config.Key", func(c *trust.Config) *string { return &c.Key }, true},
	{workloadParameter, trust.WorkloadAPIVariable, "trust.Config.WorkloadAPI", func(c *trust.Config) *string { return &c.WorkloadAPI }, true},
	{"server-name", trust.ServerNameVariable, "", func(c *trust.Config) *string { return &c.ServerName }, false},
	{"identity", trust.IdentityVariable, "", func(c *trust.Config) *string { return &c.Identity }, false},
	{tokenParameter, trust.TokenFileVariable, "trust.Config.TokenFile", func(c *trust.Config) *string { return &c.TokenFile }, false},
}

// workloadParameter is the parameter for WorkloadAPI, which replaces all files.
const workloadParameter = "workload-api"

// tokenParameter is the parameter for TokenFile. It has nothing to do with certificates.
const tokenParameter = "token-file"

// insecureParameter is the parameter for Plaintext. Plaintext is not in settings because it is not
// a string.
const insecureParameter = "insecure"

// policyParameter is the parameter for the file of Policy.
const policyParameter = "policy"

// hideParameter is the parameter for Hide.
const hideParameter = "hide"

// gatewaysParameter is the parameter for Gateways.
const gatewaysParameter = "gateways"

// Parameters returns the names of the parameters of a transport URL that configure trust.
func Parameters() []string {
	names := []string{insecureParameter, policyParameter, hideParameter, gatewaysParameter}
	for _, s := range settings {
		names = append(names, s.parameter)
	}
	return names
}

// Text is the program's configuration, with the transport URL and the environment that complete it.
type Text struct {
	// Config is the program's configuration. It takes precedence over URL and Variable.
	Config trust.Config
	// URL has the parameters of the transport URL. They take precedence over the environment.
	URL map[string]string
	// Variable returns a variable of the environment, or an empty string if it is not set.
	Variable func(name string) string
}

// Complete returns the complete configuration, and for each parameter the origin of its value, for
// errors. A certificate and its key are taken from the same origin. If the program or the URL sets
// files, or a setting that replaces files, the others are not taken from an origin with less
// precedence. An error is of kind Invalid.
func (t *Text) Complete() (trust.Config, map[string]string, error) {
	c, origins := t.Config, map[string]string{}
	for _, s := range settings {
		field, own := s.value(&c), *s.value(&t.Config) != ""
		ofProgram, ofURL := t.excludes(&s)
		switch {
		case own:
			origins[s.parameter] = s.field
		case ofProgram:
		case t.URL[s.parameter] != "":
			*field, origins[s.parameter] = t.URL[s.parameter], "the transport URL's "+s.parameter
		case ofURL:
		default:
			*field, origins[s.parameter] = t.Variable(s.variable), s.variable
		}
	}
	c.Policy = t.policy()
	if text := t.URL[gatewaysParameter]; c.Gateways == nil && text != "" {
		c.Gateways = strings.Split(text, ",")
	}
	var noPlaintext, noHide error
	c.Plaintext, noPlaintext = t.plaintext()
	c.Hide, noHide = t.hidden()
	return c, origins, cmp.Or(noPlaintext, noHide)
}

// excludes reports whether a setting must not be taken from the URL or the environment because of
// the program's configuration, and whether it must not be taken from the environment because of the
// URL.
func (t *Text) excludes(s *setting) (ofProgram, ofURL bool) {
	if !s.files {
		return false, false
	}
	c := &t.Config
	replaced := c.TLS != nil || c.Credentials != nil || c.Source != nil
	switch pair, pairInURL := c.Cert+c.Key != "", t.URL["cert"]+t.URL["key"] != ""; s.parameter {
	case workloadParameter:
		return replaced || pair || c.CA != "", pairInURL || t.URL["ca"] != ""
	case "ca":
		return replaced || c.WorkloadAPI != "", t.URL[workloadParameter] != ""
	default:
		return replaced || pair || c.WorkloadAPI != "", pairInURL || t.URL[workloadParameter] != ""
	}
}

// policy returns the policy of servers.
func (t *Text) policy() *trust.Policy {
	file := cmp.Or(t.URL[policyParameter], t.Variable(trust.PolicyVariable))
	if t.Config.Policy != nil || file == "" {
		return t.Config.Policy
	}
	return &trust.Policy{File: file}
}

// hidden returns what servers hide from their peers.
func (t *Text) hidden() (trust.Hidden, error) {
	text, origin := t.URL[hideParameter], "the transport URL's "+hideParameter
	if text == "" {
		text, origin = t.Variable(trust.HideVariable), trust.HideVariable
	}
	if t.Config.Hide != (trust.Hidden{}) || text == "" {
		return t.Config.Hide, nil
	}
	hidden, err := ParseHidden(text)
	if err != nil {
		return hidden, failure.Invalid("%s: %v", origin, err)
	}
	return hidden, nil
}

// ParseHidden parses what servers hide: names, separated by commas.
func ParseHidden(text string) (h trust.Hidden, err error) {
	for name := range strings.SplitSeq(text, ",") {
		switch strings.TrimSpace(name) {
		case "failures":
			h.Failures = true
		case "introspection":
			h.Introspection = true
		case "reflection":
			h.Reflection = true
		default:
			return trust.Hidden{}, fmt.Errorf("%q cannot be hidden: write failures, introspection or reflection, with commas between them", name)
		}
	}
	return h, nil
}

// plaintext returns whether connections to other machines may be plaintext.
func (t *Text) plaintext() (bool, error) {
	text, origin := t.URL[insecureParameter], "the transport URL's "+insecureParameter
	if text == "" {
		text, origin = t.Variable(trust.InsecureVariable), trust.InsecureVariable
	}
	if t.Config.Plaintext || text == "" {
		return t.Config.Plaintext, nil
	}
	allowed, err := strconv.ParseBool(text)
	if err != nil {
		return false, failure.Invalid("%s is %q: write true or false", origin, text)
	}
	return allowed, nil
}
