package upgrade

import (
	"strings"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestMain(m *testing.M) { leak.Main(m) }

// epoch is the time from which tests count seconds.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// ver parses a version.
func ver(text string) rpc.Version {
	v, err := rpc.ParseVersion(text)
	if err != nil {
		panic(err)
	}
	return v
}

// instance returns an instance that implements versions, such as "1.0,control=2.1".
func instance(server string, state rpc.State, versions string) rpc.Instance {
	i := rpc.Instance{Exchange: "openstack", Topic: "demo", Server: server, Addr: server + ":1", State: state, ID: server, BootID: server}
	for _, word := range strings.FieldsFunc(versions, func(r rune) bool { return r == ',' }) {
		namespace, version, found := strings.Cut(word, "=")
		if !found {
			namespace, version = "", word
		}
		i.Implemented = append(i.Implemented, rpc.Implementation{Namespace: namespace, Version: ver(version)})
	}
	return i
}

// active is like instance, for an active server.
func active(server, versions string) rpc.Instance { return instance(server, rpc.StateActive, versions) }

// answered returns the observation of an instance that has been up for a minute.
func answered(i rpc.Instance, counts ...rpc.RequestCount) Observation {
	return Observe(i, &rpc.Info{
		Uptime: time.Minute, Build: "v1", Servers: []rpc.ServerInfo{{InstanceID: i.ID, Requests: counts}},
	}, nil)
}

// unanswered returns the observation of an instance that does not answer.
func unanswered(i rpc.Instance) Observation { return Observe(i, nil, rpc.Unreachable) }

// upFor changes how long an instance has been up.
func upFor(uptime time.Duration, o Observation) Observation {
	o.Info.Uptime = uptime
	return o
}

// uncounted adds messages that a server had no space to count.
func uncounted(n int64, o Observation) Observation {
	o.Info.Servers[0].Uncounted = n
	return o
}

// offering adds an endpoint to an observation.
func offering(o Observation, e rpc.EndpointInfo) Observation {
	s := &o.Info.Servers[0]
	s.Endpoints = append(s.Endpoints, e)
	return o
}

// asked returns the count for the caller "c" and a method of the default namespace.
func asked(method, version string) rpc.RequestCount {
	return rpc.RequestCount{Method: method, Version: ver(version), Caller: "c", Accepted: 1, FirstSeen: epoch, LastSeen: epoch}
}

// from changes the caller.
func from(caller string, c rpc.RequestCount) rpc.RequestCount {
	c.Caller = caller
	return c
}

// proved changes the name that the caller proved.
func proved(name string, c rpc.RequestCount) rpc.RequestCount {
	c.Identity = name
	return c
}

// in changes the requested namespace.
func in(namespace string, c rpc.RequestCount) rpc.RequestCount {
	c.Namespace = namespace
	return c
}

// counted changes how many messages were accepted and refused, and when, in seconds after the
// epoch.
func counted(accepted, refused int64, first, last int, c rpc.RequestCount) rpc.RequestCount {
	at := func(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }
	c.Accepted, c.Refused, c.FirstSeen, c.LastSeen = accepted, refused, at(first), at(last)
	return c
}

// servers returns the names of instances.
func servers(list []rpc.Instance) string {
	names := make([]string, len(list))
	for n, i := range list {
		names[n] = i.Server
	}
	return strings.Join(names, " ")
}
