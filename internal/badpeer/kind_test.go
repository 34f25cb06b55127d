package badpeer

import (
	"crypto/tls"
	"net"
	"slices"

	"google.golang.org/grpc/credentials"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// kind is a kind of bad peer, with the outcomes of the messages to it.
type kind struct {
	name     string
	behavior behavior
	// absent is true if nothing listens at the address. If security is set, the peer's certificate
	// is not the one that clients trust.
	absent      bool
	certificate *tls.Certificate
	// security has the credentials of the client and of the healthy server. It may be nil.
	security credentials.TransportCredentials
	// large is true if requests must exceed the peer's initial flow-control window.
	large bool
	// proves is true if the peer proves that a request which it received completely did not run.
	// The client may then send the message again.
	proves bool
	// final is true if the peer says that no other server could do better.
	final bool
	// headed is true if the peer begins its response before the proof. This binds a typed stream to
	// the peer.
	headed bool
	// greedy is true if the peer makes the client use much memory or time. The memory is measured
	// while nothing else runs.
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

// of returns the outcome of an operation. A typed stream that does not open in time may also time
// out, whatever the reason.
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

// provesTo reports whether the peer's proof applies to an operation, so that the message goes to
// another server.
func (k *kind) provesTo(operation string) bool {
	want := k.of(operation)
	return k.proves && (want.safe || want.fine) && !(k.headed && operation == typedStream)
}

// outcome describes the permitted outcomes of an operation: success if fine is true, or an error of
// one of the kinds.
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
	// unreachable means that no message reaches the peer.
	unreachable = safely(oslorpc.Unreachable)
	// untrusted means that no message reaches the peer, and retrying does not help.
	untrusted = safely(oslorpc.Untrusted)
	// refused means that the peer refuses the message until the deadline, which may pass during an
	// attempt.
	refused = safely(oslorpc.Refused, oslorpc.Timeout)
	// unknown means that the message may have run.
	unknown = unsafely(oslorpc.OutcomeUnknown)
	// late means that the message may have run and that the deadline passed.
	late = unsafely(oslorpc.Timeout)
	// quiet is the same as late for a monitored call.
	quiet = map[string]outcome{monitored: unsafely(oslorpc.MonitorTimeout)}
)

// typedOnes returns the outcomes of typed operations.
func typedOnes(o outcome) map[string]outcome { return map[string]outcome{typedCall: o, typedStream: o} }

// ran means that the method ran and its result cannot be used. Casts have no result.
func ran(kinds ...oslorpc.Kind) outcome { return unsafely(kinds...) }

// allKinds returns all kinds.
func allKinds() []*kind {
	var all []*kind
	for _, part := range [][]kind{below(), greetings(), goodbyes(), resets(), partial(), statuses(), details(), fields(), streams()} {
		for i := range part {
			all = append(all, &part[i])
		}
	}
	return all
}
