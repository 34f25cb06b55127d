package upgrade

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Request counts the messages of one caller for one method at one version, over all servers that
// answered.
type Request struct {
	rpc.RequestCount
	// DeprecatedSince is the version in which the method became deprecated, zero if it is not
	// deprecated.
	DeprecatedSince rpc.Version
}

// requested is the key by which the counts of servers are added up.
type requested struct {
	namespace, method string
	version           rpc.Version
	caller, identity  string
}

func (r *Request) requested() requested {
	return requested{r.Namespace, r.Method, r.Version, r.Caller, r.Identity}
}

// interfaceVersion returns the interface and the version that the request needs.
func (r *Request) interfaceVersion() rpc.Implementation {
	return rpc.Implementation{Namespace: r.Namespace, Version: r.Version}
}

// isPing reports whether the request is oslo.messaging's ping, which all servers answer.
func (r *Request) isPing() bool { return discovery.IsPing(r.Namespace, r.Method) }

func (r *Request) isDeprecated() bool { return r.DeprecatedSince != rpc.Version{} }

func (r *Request) compare(s *Request) int {
	return cmp.Or(strings.Compare(r.Namespace, s.Namespace), strings.Compare(r.Method, s.Method),
		r.Version.Compare(s.Version), strings.Compare(r.Caller, s.Caller), strings.Compare(r.Identity, s.Identity))
}

// add adds the counts of another server.
func (r *Request) add(count rpc.RequestCount) {
	r.Accepted += count.Accepted
	r.Refused += count.Refused
	if count.FirstSeen.Before(r.FirstSeen) {
		r.FirstSeen = count.FirstSeen
	}
	if count.LastSeen.After(r.LastSeen) {
		r.LastSeen = count.LastSeen
	}
}

// Requests are the messages that servers have counted since they started.
type Requests struct {
	// List is ordered by namespace, method, version and caller.
	List []Request
	// Uncounted is the number of messages that servers did not count by method and caller, because
	// their statistics were full.
	Uncounted int64
}

// proven reports whether any caller in the list proved its identity.
func (r Requests) proven() bool {
	return slices.ContainsFunc(r.List, func(request Request) bool { return request.Identity != "" })
}

// RequestsOf adds up the counts of all servers.
func RequestsOf(seen []Observation) Requests {
	sums := map[requested]*Request{}
	var all Requests
	for _, o := range seen {
		for _, s := range o.Servers() {
			all.Uncounted += s.Uncounted
			for _, count := range s.Requests {
				request := Request{RequestCount: count}
				if sum := sums[request.requested()]; sum != nil {
					sum.add(count)
				} else {
					sums[request.requested()] = &request
				}
			}
		}
	}
	deprecated := deprecationsOf(seen)
	for _, sum := range slices.SortedFunc(maps.Values(sums), (*Request).compare) {
		sum.DeprecatedSince = deprecated.of(sum)
		all.List = append(all.List, *sum)
	}
	return all
}

// Outdated returns the requests for deprecated methods, and the requests for versions older than
// the newest. It leaves out pings, whose version has no meaning.
func (r Requests) Outdated(newest Newest) []Request {
	var old []Request
	for _, request := range r.List {
		if !request.isPing() && (request.isDeprecated() || newest.outdates(request.interfaceVersion())) {
			old = append(old, request)
		}
	}
	return old
}
