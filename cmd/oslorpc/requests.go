package main

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// asked is what a caller asked for, and of whom.
type asked struct{ namespace, method, version, caller string }

func (a asked) compare(b asked) int {
	v, w := a.parsed(), b.parsed()
	return cmp.Or(strings.Compare(a.namespace, b.namespace), strings.Compare(a.method, b.method), v.Compare(w), strings.Compare(a.caller, b.caller))
}

// parsed returns the version asked for; 0.0, which nothing serves, if it is malformed.
func (a asked) parsed() oslorpc.Version {
	v, _ := rpc.ParseVersion(a.version)
	return v
}

// isPing reports whether it is the ping of WithPing, which servers answer whatever they implement.
func (a asked) isPing() bool {
	return a.method == oslorpc.PingMethod && a.namespace == ""
}

// request is how often something was asked for, at all servers that were asked.
type request struct {
	asked

	accepted, refused int64
	first, last       time.Time
	deprecated        string // the version in which the method was; empty if it was not
}

// requestsOf adds up what servers counted, in order, and what they had no room to count.
func requestsOf(seen []observation) (list []request, uncounted int64) {
	sums := map[asked]*request{}
	for _, o := range seen {
		for _, s := range o.servers() {
			uncounted += s.GetUncounted()
			for _, count := range s.GetRequests() {
				add(sums, count)
			}
		}
	}
	known := marksOf(seen)
	for _, a := range slices.SortedFunc(maps.Keys(sums), asked.compare) {
		sum := sums[a]
		sum.deprecated = known.of(a)
		list = append(list, *sum)
	}
	return list, uncounted
}

func add(sums map[asked]*request, count *pb.RequestCount) {
	a := asked{count.GetNamespace(), count.GetMethod(), count.GetVersion(), count.GetCaller()}
	first, last := timeOf(count.GetFirstSeen()), timeOf(count.GetLastSeen())
	sum := sums[a]
	if sum == nil {
		sum = &request{asked: a, first: first, last: last}
		sums[a] = sum
	}
	sum.accepted += count.GetAccepted()
	sum.refused += count.GetRefused()
	if first.Before(sum.first) {
		sum.first = first
	}
	if last.After(sum.last) {
		sum.last = last
	}
}

// earliest and latest bound the times that RFC 3339, and with it JSON, can express.
var (
	earliest = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
)

// timeOf returns the time that a server reports, or the nearest time that JSON can express: its
// clock may be far off.
func timeOf(told *timestamppb.Timestamp) time.Time {
	seconds := min(max(told.GetSeconds(), earliest.Unix()), latest.Unix())
	nanos := min(max(told.GetNanos(), 0), int32(time.Second-1))
	return time.Unix(seconds, int64(nanos)).UTC()
}

// marks are the versions in which methods of an interface were deprecated, as the newest server that has the method tells it: older
// ones were built before. The method of a fallback is empty.
type marks map[markKey]mark

type markKey struct {
	iface

	method string
}

// mark is what an endpoint of a version says of a method.
type mark struct {
	by         oslorpc.Version
	deprecated string
}

func marksOf(seen []observation) marks {
	m := marks{}
	for _, o := range seen {
		for _, s := range o.servers() {
			for _, e := range s.GetEndpoints() {
				m.endpoint(e)
			}
		}
	}
	return m
}

// endpoint takes in what an endpoint says.
func (m marks) endpoint(e *pb.EndpointInfo) {
	methods := e.GetMethods()
	if e.GetFallback() != nil {
		methods = append(slices.Clone(methods), e.GetFallback())
	}
	version, err := rpc.ParseVersion(e.GetVersion())
	if err != nil {
		return
	}
	for _, namespace := range e.GetNamespaces() {
		for _, method := range methods {
			key := markKey{iface{namespace, version.Major}, method.GetName()}
			if known, is := m[key]; !is || version.Compare(known.by) > 0 {
				m[key] = mark{version, cmp.Or(method.GetDeprecatedSince(), e.GetDeprecatedSince())}
			}
		}
	}
}

// of returns the version in which what was asked for was deprecated; empty if it was not.
func (m marks) of(a asked) string {
	at := iface{a.namespace, a.parsed().Major}
	if listed, is := m[markKey{at, a.method}]; is {
		return listed.deprecated
	}
	return m[markKey{at, ""}].deprecated
}

// requestDocument is a request for programs.
type requestDocument struct {
	Namespace  string    `json:"namespace"`
	Method     string    `json:"method"`
	Version    string    `json:"version"`
	Caller     string    `json:"caller"`
	Accepted   int64     `json:"accepted"`
	Refused    int64     `json:"refused"`
	First      time.Time `json:"first_seen"`
	Last       time.Time `json:"last_seen"`
	Deprecated string    `json:"deprecated_since,omitempty"`
}

func newRequestDocuments(list []request) []requestDocument {
	documents := []requestDocument{}
	for _, r := range list {
		documents = append(documents, requestDocument{
			r.namespace, r.method, r.version, r.caller, r.accepted, r.refused, r.first.UTC(), r.last.UTC(), r.deprecated,
		})
	}
	return documents
}
