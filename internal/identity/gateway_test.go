package identity

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// A process must be the server that is meant, or a gateway that is trusted. The error names both.
func TestOrGateway(t *testing.T) {
	t.Parallel()
	template, err := ParseTemplate("dns:{server}.{topic}.example")
	if err != nil {
		t.Fatal(err)
	}
	rule := OrGateway(template, func(i rpc.Identity) bool { return slices.Contains(i.Names, "dns:gw.example") })
	meant := &Server{Topic: "payments", Name: "p1"}
	for name, wrong := range map[string]string{
		"p1.payments.example": "", "gw.example": "", "gw2.example": "must prove dns:p1.payments.example; it proved dns:gw2.example, and is not a trusted gateway",
	} {
		err := rule.Check(meant, &x509.Certificate{DNSNames: []string{name}})
		if (err == nil) != (wrong == "") || err != nil && err.Error() != wrong {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, c := range []*x509.Certificate{nil, {}} {
		if err := rule.Check(meant, c); err == nil || !strings.Contains(err.Error(), "must prove dns:p1.payments.example") {
			t.Errorf("%v: got %v", c, err)
		}
	}
	if _, isNaming := rule.(Naming); isNaming {
		t.Error("it asks for certificates of topics")
	}
}
