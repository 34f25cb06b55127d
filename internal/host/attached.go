package host

import (
	"net"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// attacher returns the registry if the process is attached to a gateway, from which its connections
// then come.
func (c *Config) attacher() (discovery.Attacher, bool) {
	r, ok := c.Registry.(discovery.Attacher)
	return r, ok
}

// attach returns a listener for the connections that come through a gateway, and the address to
// announce.
func (c *Config) attach(r discovery.Attacher) (net.Listener, string, error) {
	if c.Listen != "" || c.Advertise != "" {
		return nil, "", failure.Invalid("a server that is attached to a gateway does not listen: leave the address to listen on, %q, and the one to advertise, %q, "+
			"out, or take the URL of a registry in which it can be found", c.Listen, c.Advertise)
	}
	if err := c.checkCallers(); err != nil {
		return nil, "", err
	}
	l, addr := r.Attach()
	return l, addr, nil
}

// wholeShare is the share of an unlimited caller, in percent.
const wholeShare = 100

// checkCallers returns an error for limits on callers that an attached server cannot enforce: all
// callers share the connection of the gateway, and only a gateway that the server trusts says who
// sent a message.
func (c *Config) checkCallers() error {
	usual := rpc.Limits{}.WithDefaults()
	if c.Limits.CallerStreams != usual.CallerStreams {
		return failure.Invalid("CallerStreams in WithLimits bounds the open RPCs of a caller's connections, and callers of a server that is attached to a gateway " +
			"have none here: set it at the gateway, or bound their messages with CallerWorkers, CallerShare and CallerRate")
	}
	if c.namesCallers() {
		return nil
	}
	var limited string
	switch l := &c.Limits; {
	case l.CallerRate != usual.CallerRate:
		limited = "CallerRate"
	case l.CallerWorkers != usual.CallerWorkers && l.CallerWorkers != wholeShare:
		limited = "CallerWorkers"
	case l.CallerShare != usual.CallerShare && l.CallerShare != wholeShare:
		limited = "CallerShare"
	default:
		return nil
	}
	return failure.Invalid("%s in WithLimits bounds each caller, and a server that is attached to a gateway that it does not trust cannot tell callers apart: "+
		"name the gateway in trust.Config.Gateways or in the parameter gateways of the URL, or leave the limit out", limited)
}

// namesCallers reports whether the configuration trusts any gateway to say who sent a message.
func (c *Config) namesCallers() bool { return c.Trust.Gateways() != nil }

// callerLimits returns the limits, fitted to the machine. At an attached server that does not trust
// the gateway, the gateway counts as the only caller and may use everything.
func (c *Config) callerLimits() rpc.Limits {
	l := bounded(c.Limits)
	if _, attached := c.attacher(); attached && !c.namesCallers() {
		l.CallerShare, l.CallerWorkers = wholeShare, wholeShare
	}
	return l
}
