package workload

import (
	"context"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/security"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// openTime is how long oslorpc.Open waits for the first certificate.
const openTime = 10 * time.Second

// domainParameter is the query parameter of an address that adds one trust domain to
// Config.Domains.
const domainParameter = "trust-domain"

func init() { //nolint:gochecknoinits // To import the package is how a program asks for it.
	security.UseWorkloadAPI(openText)
}

// openText opens the source for trust.Config.WorkloadAPI.
func openText(text string, log *slog.Logger) (trust.Source, func(), error) {
	c, err := parse(text)
	if err != nil {
		return nil, nil, err
	}
	c.Log = log
	ctx, cancel := context.WithTimeout(context.Background(), openTime)
	defer cancel()
	s, err := Open(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	return s, func() { _ = s.Close() }, nil
}

// parse reads an address, or "auto", optionally followed by trust domains:
// unix:///run/spire/agent.sock?trust-domain=partner.example.
func parse(text string) (Config, error) {
	address, query, _ := strings.Cut(text, "?")
	c := Config{Address: address}
	if address == "auto" {
		c.Address = ""
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return c, failure.Invalid("the address %q of the Workload API: %v", text, err)
	}
	c.Domains = values[domainParameter]
	delete(values, domainParameter)
	for name := range values {
		return c, failure.Invalid("the address %q of the Workload API has the parameter %q: only %s is known", text, name, domainParameter)
	}
	return c, nil
}
