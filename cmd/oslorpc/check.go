package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// plan is the version of a namespace that an upgrade goes to.
type plan struct {
	namespace string
	to        oslorpc.Version
}

// findings are what an upgrade check found.
type findings struct {
	plan

	servers   int                // that implement the namespace, those left out that drain
	inTheWay  []oslorpc.Instance // of them: no endpoint serves the version
	untold    []oslorpc.Instance // do not say what they implement
	unasked   []observation      // could not be asked
	callers   []request          // for versions that it does not serve
	warnings  []request          // for deprecated methods that it serves
	uncounted int64

	// observed is how long all servers that could be asked have counted: the shortest of their uptimes, which is that of youngest.
	observed time.Duration
	youngest string
}

// check returns what speaks against an upgrade, from what the instances on a topic say.
func check(to plan, seen []observation) *findings {
	f := &findings{plan: to}
	for _, o := range seen {
		f.server(o)
	}
	var requests []request
	requests, f.uncounted = requestsOf(seen)
	for _, r := range requests {
		switch {
		case r.namespace != to.namespace || r.isPing():
		case !to.to.Serves(r.version):
			f.callers = append(f.callers, r)
		case r.deprecated != (rpc.Version{}):
			f.warnings = append(f.warnings, r)
		}
	}
	return f
}

// server takes in what is known of a server.
func (f *findings) server(o observation) {
	i := o.instance
	uptime, known := o.uptime()
	switch {
	case !known:
		f.unasked = append(f.unasked, o)
	case f.youngest == "" || uptime < f.observed:
		f.observed, f.youngest = uptime, i.Server
	}
	switch {
	case i.State == oslorpc.StateDraining:
	case len(i.Implemented) == 0:
		f.untold = append(f.untold, i)
	case slices.ContainsFunc(i.Implemented, f.concerns):
		f.servers++
		if !slices.ContainsFunc(i.Implemented, f.suits) {
			f.inTheWay = append(f.inTheWay, i)
		}
	}
}

func (f *findings) concerns(v rpc.Implementation) bool { return v.Namespace == f.namespace }

func (f *findings) suits(v rpc.Implementation) bool {
	return f.concerns(v) && v.Version.Serves(f.to)
}

// notYet reports whether something is in the way for sure.
func (f *findings) notYet() bool { return len(f.inTheWay) > 0 || len(f.callers) > 0 }

// code returns the answer.
func (f *findings) code() int {
	switch {
	case f.notYet():
		return exitNotYet
	case f.servers == 0, len(f.untold) > 0, len(f.unasked) > 0, f.uncounted > 0:
		return exitCannotTell
	}
	return exitYes
}

// reasons says in words what the answer is due to; nothing if the upgrade is safe.
func (f *findings) reasons() string {
	var words []string
	say := func(is bool, format string, args ...any) {
		if is {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	say(len(f.inTheWay) > 0, "%s not serve %s", does(len(f.inTheWay), "server"), f.to)
	say(len(f.callers) > 0, "%s asked for what %s does not serve", number(callers(f.callers), "caller"), f.to)
	say(f.servers == 0, "no server is known to implement the %s", f.interfaceWord())
	say(len(f.untold) > 0, "%s not say what is implemented", does(len(f.untold), "server"))
	say(len(f.unasked) > 0, "%s could not be asked", number(len(f.unasked), "server"))
	say(f.uncounted > 0, "uncounted by version: %s", number(int(f.uncounted), "message"))
	return strings.Join(words, "; ")
}

func (f *findings) interfaceWord() string {
	if f.namespace == "" {
		return "null namespace"
	}
	return fmt.Sprintf("namespace %q", f.namespace)
}

// verdict returns the error that ends the command with the answer; nil if the upgrade is safe.
func (f *findings) verdict() error {
	switch f.code() {
	case exitNotYet:
		return &answerError{error: fmt.Errorf("not yet: %s", f.reasons()), kind: "NotYet", code: exitNotYet}
	case exitCannotTell:
		return &answerError{error: fmt.Errorf("cannot tell: %s", f.reasons()), kind: "CannotTell", code: exitCannotTell}
	}
	return nil
}

// callers counts the callers of requests.
func callers(list []request) int {
	names := map[string]bool{}
	for _, r := range list {
		names[r.caller] = true
	}
	return len(names)
}

// number returns a count of something, in words.
func number(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// does is number with the verb.
func does(n int, what string) string {
	if n == 1 {
		return "1 " + what + " does"
	}
	return number(n, what) + " do"
}
