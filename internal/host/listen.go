package host

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/pkg/registry"
)

// listen opens a listener, and returns the address to announce.
func (c *Config) listen(ctx context.Context) (net.Listener, string, error) {
	if c.Test != nil {
		l, addr := c.Test.Listen()
		return l, addr, nil
	}
	if r, ok := c.attacher(); ok {
		return c.attach(r)
	}
	address, err := c.address()
	if err != nil {
		return nil, "", err
	}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if !filepath.IsAbs(path) || c.Advertise != "" {
			return nil, "", failure.Invalid("%q: the path of a socket must be absolute, and it cannot be advertised as another address", address)
		}
		l, err := listenUnix(ctx, path)
		if err != nil {
			return nil, "", err
		}
		return newRenewable(path, l), address, nil
	}
	return c.listenPort(ctx, address)
}

// address returns the address to listen on. If none is configured, it is a Unix socket in the
// registry's private directory, so that other users of the machine cannot connect. It is a free
// port of the loopback interface instead if the registry has no such directory, with TLS, which
// verifies host names, or if another address is advertised.
func (c *Config) address() (string, error) {
	private, ok := c.Registry.(registry.Private)
	switch {
	case c.Listen != "":
		return c.Listen, nil
	case !ok, c.Advertise != "", c.Trust.Secure():
		return "127.0.0.1:0", nil
	default:
		path, err := private.Socket()
		return "unix:" + path, err
	}
}

func (c *Config) listenPort(ctx context.Context, address string) (net.Listener, string, error) {
	host, ports, err := net.SplitHostPort(address)
	if err != nil {
		return nil, "", failure.Invalid(`the address to listen on, %q, is malformed: write "host:port", "host:first-last" or "unix:/path"`, address)
	}
	first, last, err := parsePorts(ports)
	if err != nil {
		return nil, "", err
	}
	if err := c.Trust.CheckServing(address); err != nil {
		return nil, "", err
	}
	if c.Advertise != "" {
		if err := c.Trust.CheckServing(c.Advertise); err != nil {
			return nil, "", err
		}
	}
	l, err := listenTCP(ctx, host, first, last)
	if err != nil {
		return nil, "", noPort(address, err)
	}
	addr, err := c.advertised(host, l.Addr())
	if err != nil {
		_ = l.Close() // the other error counts
		return nil, "", err
	}
	c.Trust.Serving(address, addr)
	return l, addr, nil
}

// parsePorts parses a port, such as "7000", or a range of ports, such as "7000-7100".
func parsePorts(s string) (first, last int, err error) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	first, err1 := strconv.Atoi(from)
	last, err2 := strconv.Atoi(to)
	if err1 != nil || err2 != nil || first < 0 || last > 65535 || first > last || first == 0 && last > 0 {
		return 0, 0, failure.Invalid(`the port %q is malformed: write a number up to 65535, or a range such as "7000-7100"`, s)
	}
	return first, last, nil
}

func listenTCP(ctx context.Context, host string, first, last int) (net.Listener, error) {
	var listenConfig net.ListenConfig
	var failures []error
	for port := first; port <= last; port++ {
		l, err := listenConfig.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err == nil {
			return l, nil
		}
		failures = append(failures, err)
	}
	if len(failures) > 1 { // a range: its failures usually have the same reason
		return nil, fmt.Errorf("none of the %d ports is free; widen the range, or end a program that listens there: %w",
			len(failures), failures[len(failures)-1])
	}
	return nil, failures[0] // there is at least one port
}

// advertised returns the address to announce for a listener.
func (c *Config) advertised(host string, bound net.Addr) (string, error) {
	_, port, err := net.SplitHostPort(bound.String())
	if err != nil {
		return "", err
	}
	if c.Advertise == "" {
		if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
			return "", failure.Invalid("%q is every address of this machine; use WithAdvertise to say which one others connect to", c.Listen)
		}
		return net.JoinHostPort(host, port), nil
	}
	if alone, ok := hostAlone(c.Advertise); ok {
		return net.JoinHostPort(alone, port), nil
	}
	return c.Advertise, nil
}

// CheckAdvertise returns an error if the advertised address is invalid.
func (c *Config) CheckAdvertise() error {
	if c.Advertise == "" {
		return nil
	}
	var err error
	if host, alone := hostAlone(c.Advertise); alone {
		err = discovery.CheckHost(host)
	} else {
		_, _, err = discovery.SplitAddr(c.Advertise)
	}
	if err != nil {
		return failure.Invalid(`the address to advertise, %q, is not one that others can connect to ("host:port", or a host): %v`, c.Advertise, err)
	}
	return nil
}

// hostAlone returns the host of an address without a port. An IPv6 address without a port must be
// in brackets, because the last part of ::1:7000 could be a port.
func hostAlone(address string) (host string, alone bool) {
	if inner, found := strings.CutPrefix(address, "["); found && strings.HasSuffix(inner, "]") {
		return strings.TrimSuffix(inner, "]"), true
	}
	return address, !strings.Contains(address, ":")
}
