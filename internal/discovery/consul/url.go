package consul

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/consul/api"
)

const (
	defaultHost = "127.0.0.1"
	defaultPort = "8500"
	defaultTTL  = 15 * time.Second
	// With a TTL below minTTL, a pause of the garbage collector would look like a crash. With a TTL
	// above maxTTL, Consul would remove the process before it counts as gone.
	minTTL = time.Second
	maxTTL = deregisterAfter
)

// settings is the content of a URL.
type settings struct {
	addrs     []string
	dc        string
	tls       tlsSettings
	tokenFile string
	ttl       time.Duration
	maxAnswer int // 0 for the constant of that name
	native    nativeSettings
}

// parameters are the known parameters. The parameters about the connection to the agent begin with
// "consul-", so that they cannot be mistaken for parameters about connections between programs.
var parameters = []string{
	"connect", "consul-ca", "consul-cert", "consul-insecure", "consul-key", "consul-server-name", "consul-tls", "consul-token-file", "dc", "intentions", "service", "ttl",
}

// grammar describes the form of a URL.
const grammar = "write consul://HOST:PORT or consul://HOST:PORT,HOST:PORT, and parameters if needed"

// parseURL parses the text itself, since url.Parse refuses several hosts. If the URL may have a
// password, the error does not repeat it.
func parseURL(text string) (settings, error) {
	s := settings{ttl: defaultTTL, tokenFile: strings.TrimSpace(os.Getenv(api.HTTPTokenFileEnvName))}
	rest, isConsul := strings.CutPrefix(text, "consul://")
	hosts, after := rest, ""
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		hosts, after = rest[:end], rest[end:]
	}
	if beforeQuery, _, _ := strings.Cut(rest, "?"); !isConsul || strings.Contains(beforeQuery, "@") {
		return settings{}, invalid("transport URL for Consul: %s", grammar)
	}
	fail := func(format string, args ...any) (settings, error) {
		return settings{}, invalid("transport URL %q: %s", text, fmt.Sprintf(format, args...))
	}
	path, rawQuery, _ := strings.Cut(after, "?")
	if strings.Trim(path, "/") != "" || strings.Contains(rawQuery, "#") {
		return fail(grammar)
	}
	var err error
	if s.addrs, err = parseHosts(hosts); err != nil {
		return fail("%v", err)
	}
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return fail("%v", err)
	}
	for name, values := range query {
		if !slices.Contains(parameters, name) {
			return fail("unknown parameter %q: there are %s, and exchange", name, strings.Join(parameters, ", "))
		}
		if len(values) > 1 || values[0] == "" {
			return fail("parameter %q must be given once, with a value", name)
		}
		if err := s.set(name, values[0]); err != nil {
			return fail("parameter %q: %v", name, err)
		}
	}
	if err := s.native.check(); err != nil {
		return fail("%v", err)
	}
	if err := s.completeTLS(query); err != nil {
		return fail("%v", err)
	}
	return s, nil
}

// parseHosts returns the addresses of the agents, in the order to try them.
func parseHosts(hosts string) ([]string, error) {
	if hosts == "" {
		return []string{net.JoinHostPort(defaultHost, defaultPort)}, nil
	}
	var addrs []string
	for host := range strings.SplitSeq(hosts, ",") {
		addr, err := parseHost(host)
		if err != nil {
			return nil, err
		}
		if slices.Contains(addrs, addr) {
			return nil, fmt.Errorf("%s appears twice", addr)
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

func parseHost(host string) (addr string, err error) {
	if host == "" {
		return "", errors.New("a host is empty: write HOST:PORT,HOST:PORT")
	}
	u, err := url.Parse("consul://" + host)
	if err != nil {
		return "", fmt.Errorf("host %q: %w", host, errors.Unwrap(err))
	}
	if !isHost(u.Hostname()) || strings.HasPrefix(host, "[") != strings.Contains(u.Hostname(), ":") {
		return "", fmt.Errorf("host %q: write a name, an IPv4 address, or an IPv6 address in brackets", host)
	}
	port := or(u.Port(), defaultPort)
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("host %q: the port must be a number from 1 to 65535", host)
	}
	return net.JoinHostPort(or(u.Hostname(), defaultHost), port), nil
}

func isHost(name string) bool {
	if strings.Contains(name, ":") {
		_, err := netip.ParseAddr(name)
		return err == nil
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return strings.ContainsRune("[]/\\@?#,", r) || unicode.IsSpace(r) || unicode.IsControl(r)
	})
}

// completeTLS turns TLS on if the URL has parameters about TLS, and sets the settings that the URL
// does not have from the environment.
func (s *settings) completeTLS(query url.Values) error {
	for name := range query {
		if rest, of := strings.CutPrefix(name, "consul-"); !of || rest == "tls" || rest == "token-file" {
			continue
		}
		if s.tls.said && !s.tls.on {
			return fmt.Errorf("%s has no effect with consul-tls=false", name)
		}
		s.tls.on = true
	}
	return s.tls.environment()
}

func (s *settings) set(name, value string) (err error) {
	switch name {
	case "dc":
		s.dc = value
	case connectParameter, serviceParameter, intentionsParameter:
		err = s.native.set(name, value)
	case "consul-ca":
		s.tls.caFile = value
	case "consul-cert":
		s.tls.certFile = value
	case "consul-key":
		s.tls.keyFile = value
	case "consul-server-name":
		s.tls.serverName = value
	case "consul-token-file":
		s.tokenFile = value
	case "consul-tls":
		s.tls.said = true
		s.tls.on, err = truth(value)
	case "consul-insecure":
		s.tls.insecure, err = truth(value)
	case "ttl":
		s.ttl, err = time.ParseDuration(value)
		if err == nil && (s.ttl < minTTL || s.ttl > maxTTL) {
			err = fmt.Errorf("%s is not between %s and %s", value, minTTL, maxTTL)
		}
	}
	return err
}

func truth(value string) (bool, error) {
	if value != "true" && value != "false" {
		return false, fmt.Errorf("%q is neither true nor false", value)
	}
	return value == "true", nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
