package oslorpc

import (
	"cmp"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/oslorpc/oslorpc/internal/connect"
	"github.com/oslorpc/oslorpc/internal/security"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// The environment variables that [Open] reads. Blanks at their beginning and end are ignored, and
// an empty one is as if it were not set.
const (
	// TransportURLVariable has the transport URL where the program gives none.
	TransportURLVariable = "OSLORPC_TRANSPORT_URL"
	// ExchangeVariable has the default exchange where neither the URL nor the program gives one.
	ExchangeVariable = "OSLORPC_EXCHANGE"
	// ZoneVariable has the zone of the program where neither the URL nor the program gives one; see
	// [WithZone].
	ZoneVariable = "OSLORPC_ZONE"
	// carrierVariable has what carries messages where neither the URL nor the program says.
	carrierVariable = "OSLORPC_CARRIER"
)

// defaultURL finds the programs of one user on one machine.
const defaultURL = "local://"

// orEnvironment returns the transport URL to use, without the blanks around it: a line break at the
// end of a file that a variable was read from would otherwise be part of the last value in the URL.
func orEnvironment(text string) string {
	return cmp.Or(strings.TrimSpace(text), variable(TransportURLVariable), defaultURL)
}

// variable returns an environment variable without the blanks around it.
func variable(name string) string { return strings.TrimSpace(os.Getenv(name)) }

// setPlace decides the default exchange and the zone: the URL is the most specific, since it is
// written for one fleet.
func (c *config) setPlace(ofURL map[string]string) error {
	c.exchange = cmp.Or(ofURL[exchangeParameter], c.exchange, variable(ExchangeVariable), rpc.DefaultExchange)
	if err := (Target{Exchange: c.exchange}).Validate(); err != nil {
		return invalidUse("default exchange: %v", err)
	}
	c.zone = cmp.Or(ofURL[zoneParameter], c.zone, variable(ZoneVariable))
	return rpc.ValidateZone(c.zone)
}

// common are the parameters of a transport URL that every scheme has.
var common = append(security.Parameters(), exchangeParameter, zoneParameter, carrierParameter)

const (
	exchangeParameter = "exchange"
	zoneParameter     = "zone"
	carrierParameter  = "carrier"
)

// setCarrier decides what carries small messages: the URL is the most specific. The variable counts
// in tests, too, which pass with every carrier.
func (c *config) setCarrier(ofURL string) error {
	c.carries = cmp.Or(rpc.Carrier(ofURL), c.carries, rpc.Carrier(variable(carrierVariable)), rpc.CarrierAuto)
	switch c.carries {
	case rpc.CarrierAuto, rpc.CarrierSession, rpc.CarrierUnary, rpc.CarrierRouted:
		return nil
	default:
		return invalidUse("there is no carrier %q: write carrier=%s, carrier=%s, carrier=%s or carrier=%s",
			c.carries, rpc.CarrierAuto, rpc.CarrierSession, rpc.CarrierUnary, rpc.CarrierRouted)
	}
}

// setTrust loads what the connections rely on. Processes of tests have no environment. A native
// member of Consul's mesh has its certificates from there, and asks it about each message.
func (c *config) setTrust(parameters map[string]string, mesh *connect.Native) (err error) {
	text := security.Text{Config: c.trust, URL: parameters, Variable: variable}
	if c.process != nil {
		text.Variable = func(string) string { return "" }
	}
	if mesh != nil {
		if err := text.Join(mesh); err != nil {
			return err
		}
		c.interceptors = append([]Interceptor{mesh.Interceptor()}, c.interceptors...)
	}
	c.security, err = security.Open(text, c.log)
	return err
}

// cutCommon takes the parameters that every scheme has out of a transport URL.
func cutCommon(text string) (rest string, values map[string]string, err error) {
	rest, query, _ := strings.Cut(text, "?")
	var others []string
	values = map[string]string{}
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if !slices.Contains(common, name) {
			others = append(others, pair)
			continue
		}
		if _, given := values[name]; given || value == "" {
			return "", nil, invalidUse("transport URL: parameter %q must be given once, with a value", name)
		}
		if values[name], err = url.QueryUnescape(value); err != nil {
			return "", nil, invalidUse("transport URL: parameter %q: %v", name, err)
		}
	}
	if len(values) == 0 {
		return text, values, nil
	}
	if len(others) > 0 {
		rest += "?" + strings.Join(others, "&")
	}
	return rest, values, nil
}
