package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// addOneExchange adds the flag of commands about what clients send: they send to one exchange.
func (s *selection) addOneExchange(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.exchange, "exchange", "", "`exchange` of the topic (default: $"+oslorpc.ExchangeVariable+", else openstack)")
}

// setExchange completes the exchange.
func (s *selection) setExchange(t *oslorpc.Transport) {
	s.exchange = cmp.Or(s.exchange, t.DefaultExchange())
}

// someInExchange is some in one exchange.
func (s *selection) someInExchange(ctx context.Context, t *oslorpc.Transport) ([]oslorpc.Instance, error) {
	s.setExchange(t)
	return s.some(ctx, t)
}

// observation is what came of asking an instance: what its process says, or why it says nothing.
type observation struct {
	instance oslorpc.Instance
	info     *rpc.Info // nil if it says nothing
	err      error
}

// observe asks instances what they say of themselves.
func observe(ctx context.Context, t *oslorpc.Transport, list []oslorpc.Instance, options ...oslorpc.InfoOption) []observation {
	return ask(list, func(i oslorpc.Instance) observation {
		info, err := t.Info(ctx, i, options...)
		if err == nil && len(serversOf(i, info)) == 0 {
			err = &oslorpc.Error{Kind: oslorpc.NoInstance, NotStarted: true, Server: i.Server, InstanceID: i.ID, Addr: i.Addr,
				Message: "the process there no longer runs it"}
		}
		if err != nil {
			return observation{instance: i, err: err}
		}
		return observation{instance: i, info: info}
	})
}

// serversOf returns what the process of an instance says of it. There is one server, but for a static address, which may have several.
func serversOf(i oslorpc.Instance, info *rpc.Info) []rpc.ServerInfo {
	if info == nil {
		return nil
	}
	var list []rpc.ServerInfo
	for _, s := range info.Servers {
		if i.ID == "" || i.ID == s.InstanceID {
			list = append(list, s)
		}
	}
	return list
}

// servers returns what is known of the instance's servers; nothing, if it could not be asked.
func (o *observation) servers() []rpc.ServerInfo { return serversOf(o.instance, o.info) }

// uptime returns how long the process is up; false if that is not known.
func (o *observation) uptime() (time.Duration, bool) {
	if o.info == nil {
		return 0, false
	}
	return o.info.Uptime.Round(time.Second), true
}

// firstError returns an error if somebody could not be asked.
func firstError(seen []observation) error {
	for _, o := range seen {
		if o.err != nil {
			return o.err
		}
	}
	return nil
}

// iface is a major version of a namespace, which is what a version cap is about.
type iface struct {
	namespace string
	major     uint32
}

// String names it as tables have it, such as "1.x" or "control=2.x".
func (i iface) String() string {
	if i.namespace == "" {
		return fmt.Sprintf("%d.x", i.major)
	}
	return fmt.Sprintf("%s=%d.x", i.namespace, i.major)
}

func (i iface) compare(j iface) int {
	return cmp.Or(strings.Compare(i.namespace, j.namespace), cmp.Compare(i.major, j.major))
}

// has reports whether an implementation is one of the interface.
func (i iface) has(v rpc.Implementation) bool {
	return v.Namespace == i.namespace && v.Version.Major == i.major
}

// newest returns the latest version of each interface that some instance implements.
func newest(list []oslorpc.Instance) map[iface]oslorpc.Version {
	latest := map[iface]oslorpc.Version{}
	for _, i := range list {
		for _, v := range i.Implemented {
			at := iface{v.Namespace, v.Version.Major}
			if known, is := latest[at]; !is || v.Version.Compare(known) > 0 {
				latest[at] = v.Version
			}
		}
	}
	return latest
}

// sortedInterfaces returns the keys of a map in order.
func sortedInterfaces[V any](m map[iface]V) []iface {
	list := make([]iface, 0, len(m))
	for i := range m {
		list = append(list, i)
	}
	slices.SortFunc(list, iface.compare)
	return list
}
