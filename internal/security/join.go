package security

import (
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// Join makes a service mesh the source of the certificate and the authorities, and of the rule for
// servers' certificates. It returns an error if the program or the transport URL sets any of these.
// It ignores them in the environment, where they may be for other programs.
func (t *Text) Join(mesh trust.Source) error {
	const instead = "the service mesh (connect=native) gives the certificate and the authorities, and says what servers must prove: leave out %s"
	c := &t.Config
	switch {
	case c.Source != nil || c.TLS != nil || c.Credentials != nil:
		return failure.Invalid(instead, "trust.Config.Source, TLS and Credentials")
	case c.Plaintext || t.URL[insecureParameter] != "":
		return failure.Invalid(instead, "trust.Config.Plaintext, and insecure in the transport URL")
	}
	ofMesh := map[string]bool{}
	for _, s := range settings {
		if s.parameter == tokenParameter {
			continue
		}
		if *s.value(c) != "" || t.URL[s.parameter] != "" {
			return failure.Invalid(instead, s.parameter+", in trust.Config or in the transport URL")
		}
		ofMesh[s.variable] = true
	}
	variable := t.Variable
	t.Variable = func(name string) string {
		if ofMesh[name] || name == trust.InsecureVariable {
			return ""
		}
		return variable(name)
	}
	c.Source = mesh
	return nil
}
