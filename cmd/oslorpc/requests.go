package main

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// asked is what a caller asked for, and of whom.
type asked struct {
	namespace, method string
	version           rpc.Version
	caller            string
}

func (a asked) compare(b asked) int {
	return cmp.Or(strings.Compare(a.namespace, b.namespace), strings.Compare(a.method, b.method),
		a.version.Compare(b.version), strings.Compare(a.caller, b.caller))
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
	deprecated        rpc.Version // the version in which the method was; zero if it was not
}

// requestsOf adds up what servers counted, in order, and what they had no room to count.
func requestsOf(seen []observation) (list []request, uncounted int64) {
	sums := map[asked]*request{}
	for _, o := range seen {
		for _, s := range o.servers() {
			uncounted += s.Uncounted
			for _, count := range s.Requests {
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

func add(sums map[asked]*request, count rpc.RequestCount) {
	a := asked{count.Namespace, count.Method, count.Version, count.Caller}
	first, last := count.FirstSeen, count.LastSeen
	sum := sums[a]
	if sum == nil {
		sum = &request{asked: a, first: first, last: last}
		sums[a] = sum
	}
	sum.accepted += count.Accepted
	sum.refused += count.Refused
	if first.Before(sum.first) {
		sum.first = first
	}
	if last.After(sum.last) {
		sum.last = last
	}
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
	by         rpc.Version
	deprecated rpc.Version
}

func marksOf(seen []observation) marks {
	m := marks{}
	for _, o := range seen {
		for _, s := range o.servers() {
			for _, e := range s.Endpoints {
				m.endpoint(e)
			}
		}
	}
	return m
}

// endpoint takes in what an endpoint says.
func (m marks) endpoint(e rpc.EndpointInfo) {
	methods := e.Methods
	if e.Fallback != nil {
		methods = append(slices.Clone(methods), *e.Fallback)
	}
	for _, namespace := range e.Namespaces {
		for _, method := range methods {
			key := markKey{iface{namespace, e.Version.Major}, method.Name}
			if known, is := m[key]; !is || e.Version.Compare(known.by) > 0 {
				m[key] = mark{e.Version, cmp.Or(method.DeprecatedSince, e.DeprecatedSince)}
			}
		}
	}
}

// of returns the version in which what was asked for was deprecated; zero if it was not.
func (m marks) of(a asked) rpc.Version {
	at := iface{a.namespace, a.version.Major}
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
			r.namespace, r.method, r.version.String(), r.caller, r.accepted, r.refused, r.first.UTC(), r.last.UTC(), given(r.deprecated),
		})
	}
	return documents
}

// given returns a version that a server may leave out; empty if it did.
func given(v rpc.Version) string {
	if v == (rpc.Version{}) {
		return ""
	}
	return v.String()
}
