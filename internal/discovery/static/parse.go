package static

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/oslorpc/oslorpc/internal/connection"
	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// parse parses the part of a transport URL after static://.
func parse(rest, exchange string) ([]rpc.Instance, error) {
	list, query, _ := strings.Cut(rest, "?")
	if query != "" {
		return nil, invalid(rest, fmt.Errorf("unknown parameters in %q: the only one is exchange", query))
	}
	var instances []rpc.Instance
	for entry := range strings.SplitSeq(list, ",") {
		i, err := parseEntry(entry)
		if err != nil {
			return nil, invalid(rest, err)
		}
		i.Exchange = exchange
		if slices.ContainsFunc(instances, i.Equal) {
			return nil, invalid(rest, fmt.Errorf("%q appears twice: remove one, or it would get twice the share", entry))
		}
		instances = append(instances, i)
	}
	return instances, nil
}

func invalid(rest string, cause error) error {
	return &rpc.Error{Kind: rpc.Invalid, NotStarted: true, Cause: cause,
		Message: fmt.Sprintf("transport URL %q: %v", "static://"+rest, cause)}
}

// zoneMark separates an address from its zone.
const zoneMark = ";zone="

// parseEntry parses topic=address or topic/server=address, with an optional zone after the address.
func parseEntry(entry string) (rpc.Instance, error) {
	name, address, found := strings.Cut(entry, "=")
	if !found {
		return rpc.Instance{}, fmt.Errorf("%q is not of the form topic=host:port or topic/server=host:port", entry)
	}
	topic, server, named := strings.Cut(name, "/")
	i := rpc.Instance{State: rpc.StateActive}
	var err error
	if i.Topic, err = url.PathUnescape(topic); err != nil {
		return i, fmt.Errorf("the topic in %q: %w", entry, err)
	}
	if i.Server, err = url.PathUnescape(server); err != nil {
		return i, fmt.Errorf("the server in %q: %w", entry, err)
	}
	if strings.Contains(server, "/") || (named && server == "") {
		return i, fmt.Errorf("%q needs one server name after the slash: write %%2F for a slash within a name", entry)
	}
	if err := (rpc.Target{Topic: i.Topic, Server: i.Server}).ValidateClient(); err != nil {
		return i, fmt.Errorf("%q: %w", entry, err)
	}
	address, zone, zoned := strings.Cut(address, zoneMark)
	if i.Zone, err = url.PathUnescape(zone); err != nil || zoned && zone == "" || rpc.ValidateZone(i.Zone) != nil {
		return i, fmt.Errorf("the zone in %q: write topic=host:port;zone=NAME, with a percent-encoded name", entry)
	}
	i.Addr, err = parseAddress(address)
	return i, err
}

func parseAddress(address string) (string, error) {
	if path, found := strings.CutPrefix(address, "unix:"); found {
		path, err := url.PathUnescape(path)
		if err != nil || !strings.HasPrefix(path, "/") {
			return "", fmt.Errorf("address %q is malformed: write unix: and an absolute path", address)
		}
		return "unix:" + path, nil
	}
	if connection.IsXDS(address) {
		if u, err := url.Parse(address); err != nil || strings.Trim(u.Path, "/") == "" || u.User != nil {
			return "", fmt.Errorf("address %q is not xds:///NAME", address)
		}
		return address, nil
	}
	if _, _, err := discovery.SplitAddr(address); err != nil {
		return "", fmt.Errorf("address %q is not host:port: %w", address, err)
	}
	return address, nil
}
