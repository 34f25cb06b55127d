package badpeer

import (
	"crypto/tls"
	"net"
	"slices"

	"google.golang.org/grpc/credentials"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// kind is a kind of bad peer, and what becomes of messages for it.
type kind struct {
	name     string
	behavior behavior
	// absent: nothing listens at its address. It has another certificate, if any, than the one that
	// clients with security trust.
	absent      bool
	certificate *tls.Certificate
	// security has the credentials of the client and of the healthy server; nil for none.
	security credentials.TransportCredentials
	// large requests do not fit into what a peer gives room for at first.
	large bool
	// proves: it proves of what it got as a whole that it did not run it, so that it may be sent
	// again.
	proves bool
	// final: no other server would do better, as far as it says.
	final bool
	// headed: it begins its response before it proves that, which binds a typed stream to it.
	headed bool
	// greedy ones make the client take much memory or time. The memory is measured while nothing
	// else runs.
	greedy bool

	// outcome is the outcome of every operation that is not in unlike.
	outcome outcome
	unlike  map[string]outcome
}

func (k *kind) wrap(raw net.Conn) net.Conn {
	if k.certificate == nil {
		return raw
	}
	return tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{*k.certificate}, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12})
}

// of returns the outcome of an operation. A typed stream that is not opened in time says so,
// whatever it waited for.
func (k *kind) of(operation string) outcome {
	o, ok := k.unlike[operation]
	if !ok {
		o = k.outcome
	}
	if operation == typedStream && o.safe {
		o = o.or(oslorpc.Timeout)
	}
	return o
}

// provesTo reports whether what it proves holds for an operation, so that a message goes on to
// another server.
func (k *kind) provesTo(operation string) bool {
	want := k.of(operation)
	return k.proves && (want.safe || want.fine) && !(k.headed && operation == typedStream)
}

// outcome is what may come of an operation: success, if fine, or an error of one of the kinds.
type outcome struct {
	kinds      []oslorpc.Kind
	safe, fine bool
}

func (o outcome) or(kinds ...oslorpc.Kind) outcome {
	o.kinds = append(slices.Clone(o.kinds), kinds...)
	return o
}

func unsafely(kinds ...oslorpc.Kind) outcome { return outcome{kinds: kinds} }

func safely(kinds ...oslorpc.Kind) outcome { return outcome{kinds: kinds, safe: true} }

var (
	fine = outcome{fine: true}
	// unreachable: no message gets there.
	unreachable = safely(oslorpc.Unreachable)
	// untrusted: no message gets there, and trying again does not help.
	untrusted = safely(oslorpc.Untrusted)
	// refused: the peer does not take it, and goes on so until the deadline, which may pass during
	// an attempt.
	refused = safely(oslorpc.Refused, oslorpc.Timeout)
	// unknown: it may have run.
	unknown = unsafely(oslorpc.OutcomeUnknown)
	// late: it may have run, and the deadline passed.
	late = unsafely(oslorpc.Timeout)
	// quiet is late of a monitored call.
	quiet = map[string]outcome{monitored: unsafely(oslorpc.MonitorTimeout)}
)

// typedOnes are outcomes of typed operations.
func typedOnes(o outcome) map[string]outcome { return map[string]outcome{typedCall: o, typedStream: o} }

// ran: it ran, and what it returned cannot be used; casts have no result.
func ran(kinds ...oslorpc.Kind) outcome { return unsafely(kinds...) }

// allKinds returns the table.
func allKinds() []*kind {
	var all []*kind
	for _, part := range [][]kind{below(), greetings(), goodbyes(), resets(), partial(), statuses(), details(), fields(), streams()} {
		for i := range part {
			all = append(all, &part[i])
		}
	}
	return all
}
