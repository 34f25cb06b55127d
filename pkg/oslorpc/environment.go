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

// The environment variables that [Open] reads. Blanks around their values are ignored. An empty
// variable counts as not set.
const (
	// TransportURLVariable names the variable with the transport URL. It applies if the program
	// passes an empty URL to [Open].
	TransportURLVariable = "OSLORPC_TRANSPORT_URL"
	// ExchangeVariable names the variable with the default exchange. It applies if neither the URL
	// nor the program sets one.
	ExchangeVariable = "OSLORPC_EXCHANGE"
	// ZoneVariable names the variable with the zone of the program. It applies if neither the URL
	// nor the program sets one; see [WithZone].
	ZoneVariable = "OSLORPC_ZONE"
	// carrierVariable names the variable with the carrier. It applies if neither the URL nor the
	// program sets one.
	carrierVariable = "OSLORPC_CARRIER"
)

// defaultURL connects programs of the same user on the same machine.
const defaultURL = "local://"

// orEnvironment returns the transport URL to use, without the blanks around it. A variable that was
// read from a file may end with a line break, which would otherwise belong to the last value of the
// URL.
func orEnvironment(text string) string {
	return cmp.Or(strings.TrimSpace(text), variable(TransportURLVariable), defaultURL)
}

// variable returns an environment variable without the blanks around it.
func variable(name string) string { return strings.TrimSpace(os.Getenv(name)) }

// setPlace sets the default exchange and the zone. The URL has precedence over the program's
// options, because operators write it for one fleet.
func (c *config) setPlace(ofURL map[string]string) error {
	c.exchange = cmp.Or(ofURL[exchangeParameter], c.exchange, variable(ExchangeVariable), rpc.DefaultExchange)
	if err := (Target{Exchange: c.exchange}).Validate(); err != nil {
		return invalidUse("default exchange: %v", err)
	}
	c.zone = cmp.Or(ofURL[zoneParameter], c.zone, variable(ZoneVariable))
	return rpc.ValidateZone(c.zone)
}

// common are the URL parameters that every scheme accepts.
var common = append(security.Parameters(), exchangeParameter, zoneParameter, carrierParameter)

const (
	exchangeParameter = "exchange"
	zoneParameter     = "zone"
	carrierParameter  = "carrier"
)

// setCarrier sets the carrier of small messages. The URL has precedence over the program's options.
// Tests set the environment variable to run with every carrier.
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

// setTrust loads the certificates and other trust settings of the connections. In-process tests do
// not read the environment. A native member of Consul's mesh gets its certificates from Consul, and
// asks Consul about each message.
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

// cutCommon removes the parameters that every scheme accepts from a transport URL, and returns
// them.
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
