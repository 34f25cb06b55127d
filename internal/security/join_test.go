package security

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// meshSource is a mesh that has nothing yet.
type meshSource struct{}

func (meshSource) Material() *trust.Material { return nil }

// Settings of the program or the URL that do not fit a mesh contradict it. Settings of the
// environment are ignored.
func TestJoin(t *testing.T) {
	for says, text := range map[string]Text{
		"ca,":         {Config: trust.Config{CA: "/ca"}},
		"cert,":       {URL: map[string]string{"cert": "/c"}},
		"identity,":   {Config: trust.Config{Identity: "dns:{server}"}},
		"server-name": {URL: map[string]string{"server-name": "x"}},
		"Credentials": {Config: trust.Config{TLS: &tls.Config{MinVersion: tls.VersionTLS13}}},
		"Plaintext":   {Config: trust.Config{Plaintext: true}},
		"insecure":    {URL: map[string]string{"insecure": "true"}},
	} {
		text.Variable = none
		if err := text.Join(meshSource{}); !errors.Is(err, rpc.Invalid) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "connect=native") {
			t.Errorf("%s: got %v", says, err)
		}
	}
	text := Text{URL: map[string]string{"token-file": "/t"}, Variable: func(name string) string {
		return map[string]string{trust.CAVariable: "/ca", trust.IdentityVariable: "dns:{server}", trust.InsecureVariable: "true", trust.HideVariable: "failures"}[name]
	}}
	if err := text.Join(meshSource{}); err != nil {
		t.Fatal(err)
	}
	c, _, err := text.Complete()
	if err != nil || c.Source != (meshSource{}) || c.CA != "" || c.Identity != "" || c.Plaintext || c.TokenFile != "/t" || !c.Hide.Failures {
		t.Errorf("got %+v, %v", c, err)
	}
}
