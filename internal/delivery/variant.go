package delivery

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// query returns what a variant of the message needs.
func (m *Message) query(variant int) route.Query {
	if variant == 0 {
		return m.Query
	}
	return m.Fallbacks[variant-1]
}

// order returns the variants in order of preference, for a named server or for any server if server
// is empty. With Auto, the variants that every instance can serve come first. The others are sent
// only if there is no alternative; they follow in ascending order of version.
func (m *Message) order(view *route.View, server string) []int {
	order := make([]int, 0, 1+len(m.Fallbacks))
	var uncommon []int
	for variant := range cap(order) {
		if m.Auto && !view.Common(m.query(variant), server) {
			uncommon = append(uncommon, variant)
		} else {
			order = append(order, variant)
		}
	}
	slices.Reverse(uncommon)
	return append(order, uncommon...)
}

// unableNow returns the error for a message if no instance that it may go to implements any of its
// variants.
func (m *Message) unableNow(view *route.View, server string) error {
	entries := view.Unable(m.Query, server)
	for _, q := range m.Fallbacks {
		also := view.Unable(q, server)
		entries = slices.DeleteFunc(entries, func(e *route.Entry) bool { return !slices.Contains(also, e) })
	}
	err := m.unable(entries, server)
	if server != "" && len(entries) == 1 {
		return At(err, entries[0])
	}
	return err
}

// unable returns the error for a message that none of these instances can serve. Server is the name
// of the intended server, if the message has one.
func (m *Message) unable(entries []*route.Entry, server string) error {
	var seen []rpc.Implementation
	for _, e := range entries {
		for _, i := range e.Implemented {
			if !slices.Contains(seen, i) {
				seen = append(seen, i)
			}
		}
	}
	who := "no server on the topic serves"
	if server != "" {
		who = fmt.Sprintf("server %q does not serve", server)
	}
	versions := []string{m.Query.Version.String()}
	for _, q := range m.Fallbacks {
		versions = append(versions, q.Version.String())
	}
	message := fmt.Sprintf("%s version %s of the %s; %s", who, strings.Join(versions, " or "), rpc.DescribeNamespace(m.Query.Namespace), discovery.Offer(seen))
	if server == "" && len(entries) > 0 {
		message += ", by " + names(entries)
	}
	if m.Blamer != nil {
		if blame := m.Blamer.Blame(); blame != "" {
			message = blame + "; " + message
		}
	}
	return &rpc.Error{Kind: rpc.UnsupportedVersion, NotStarted: true, Message: message, Cause: &refusal.Offer{Implemented: seen}}
}

// names lists the servers of entries for people: a few names, and the number of the others.
func names(entries []*route.Entry) string {
	const few = 3
	var list []string
	for _, e := range entries {
		if name := fmt.Sprintf("%q", e.Server); !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	if more := len(list) - few; more > 0 {
		list = append(list[:few], fmt.Sprintf("%d more", more))
	}
	return strings.Join(list, ", ")
}
