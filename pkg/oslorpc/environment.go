package oslorpc

import (
	"cmp"
	"net/url"
	"os"
	"strings"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// The environment variables that [Open] reads. Blanks at their beginning and end are ignored, and
// an empty one is as if it were not set.
const (
	// TransportURLVariable has the transport URL where the program gives none.
	TransportURLVariable = "OSLORPC_TRANSPORT_URL"
	// ExchangeVariable has the default exchange where neither the URL nor the program gives one.
	ExchangeVariable = "OSLORPC_EXCHANGE"
)

// defaultURL finds the programs of one user on one machine.
const defaultURL = "local://"

// orEnvironment returns the transport URL to use, without the blanks around it: a line break at
// the end of a file that a variable was read from would otherwise be part of the last value in the
// URL.
func orEnvironment(text string) string {
	return cmp.Or(strings.TrimSpace(text), variable(TransportURLVariable), defaultURL)
}

// variable returns an environment variable without the blanks around it.
func variable(name string) string { return strings.TrimSpace(os.Getenv(name)) }

// setExchange decides the default exchange: the URL is the most specific, since it is written for
// one fleet.
func (c *config) setExchange(ofURL string) error {
	c.exchange = cmp.Or(ofURL, c.exchange, variable(ExchangeVariable), rpc.DefaultExchange)
	if err := (Target{Exchange: c.exchange}).Validate(); err != nil {
		return invalidUse("default exchange: %v", err)
	}
	return nil
}

// cutExchange takes the parameter "exchange", which every scheme has, out of a transport URL.
func cutExchange(text string) (rest, exchange string, err error) {
	rest, query, _ := strings.Cut(text, "?")
	var others []string
	given := false
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name != "exchange" {
			others = append(others, pair)
			continue
		}
		if given || value == "" {
			return "", "", invalidUse("transport URL: parameter \"exchange\" must be given once, with a value")
		}
		if exchange, err = url.QueryUnescape(value); err != nil {
			return "", "", invalidUse("transport URL: parameter \"exchange\": %v", err)
		}
		given = true
	}
	if !given {
		return text, "", nil
	}
	if len(others) > 0 {
		rest += "?" + strings.Join(others, "&")
	}
	return rest, exchange, nil
}
