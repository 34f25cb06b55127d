package consul

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

const (
	defaultHost = "127.0.0.1"
	defaultPort = "8500"
	defaultTTL  = 15 * time.Second
	// A shorter TTL than minTTL would lapse in a pause of the garbage collector; after a longer one than maxTTL the process
	// would be deregistered before it counts as gone.
	minTTL = time.Second
	maxTTL = deregisterAfter
)

// settings is what a URL says.
type settings struct {
	addr      string
	dc        string
	tls       bool
	caFile    string
	tokenFile string
	ttl       time.Duration
}

var parameters = []string{"ca-file", "dc", "tls", "token-file", "ttl"}

func parseURL(u *url.URL) (settings, error) {
	s := settings{ttl: defaultTTL, tokenFile: os.Getenv(api.HTTPTokenFileEnvName)}
	fail := func(format string, args ...any) (settings, error) {
		return settings{}, invalid("transport URL %q: %s", u.Redacted(), fmt.Sprintf(format, args...))
	}
	if u.Scheme != "consul" || u.Opaque != "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.Fragment != "" {
		return fail("write consul://HOST:PORT, and parameters if needed")
	}
	s.addr = net.JoinHostPort(or(u.Hostname(), defaultHost), or(u.Port(), defaultPort))
	if _, _, err := net.SplitHostPort(s.addr); err != nil {
		return fail("%v", err)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fail("%v", err)
	}
	for name, values := range query {
		if !slices.Contains(parameters, name) {
			return fail("unknown parameter %q: there are %s", name, strings.Join(parameters, ", "))
		}
		if len(values) > 1 || values[0] == "" {
			return fail("parameter %q must be given once, with a value", name)
		}
		if err := s.set(name, values[0]); err != nil {
			return fail("parameter %q: %v", name, err)
		}
	}
	if s.caFile != "" && !s.tls {
		return fail("ca-file has no effect without tls=true")
	}
	return s, nil
}

func (s *settings) set(name, value string) (err error) {
	switch name {
	case "dc":
		s.dc = value
	case "ca-file":
		s.caFile = value
	case "token-file":
		s.tokenFile = value
	case "tls":
		s.tls = value == "true"
		if !s.tls && value != "false" {
			err = fmt.Errorf("%q is neither true nor false", value)
		}
	case "ttl":
		s.ttl, err = time.ParseDuration(value)
		if err == nil && (s.ttl < minTTL || s.ttl > maxTTL) {
			err = fmt.Errorf("%s is not between %s and %s", value, minTTL, maxTTL)
		}
	}
	return err
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
