// Package client sends messages: one operation, from the arguments to the result, for every
// delivery. A message is encoded, and fitted to the versions at which it can be sent. It passes the
// interceptors, gets to its servers by way of package delivery and a carrier, and its answer is
// decoded. Dynamic and typed messages differ by a codec. The package does not know what carries its
// messages.
package client

import (
	"context"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/errtype"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/fleet"
	"github.com/oslorpc/oslorpc/internal/lograte"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Config says what the clients of a transport have in common. All fields are required but
// Zone and Interceptors.
type Config struct {
	Registry registry.Registry
	Carrier  carrier.Carrier
	// Exchange is the exchange of targets that name none.
	Exchange string
	// Caller is the name that the program gives itself.
	Caller string
	// Zone is where the program runs: messages for any server prefer those there. It may be empty.
	Zone string
	// Metadata returns what the program added to a context, to travel beside its messages. The
	// caller may change it.
	Metadata     func(context.Context) rpc.Metadata
	Interceptors []rpc.Interceptor
	// Errors are the errors that the program registered.
	Errors *errtype.Registry
	Log    *slog.Logger
}

// Transport is the client half of a transport. It is safe for concurrent use.
type Transport struct {
	config   Config
	fleet    *fleet.Fleet
	sends    []intercept
	attempts []intercept

	ids    ids
	turns  turns // of messages that are forwarded
	closed atomic.Bool
	// nameless are addresses of which was said that a fanout reaches one server there.
	nameless sync.Map
}

// NewTransport returns a transport. It connects to nothing yet.
func NewTransport(config Config) *Transport {
	config.Log = lograte.New(config.Log)
	t := &Transport{config: config, fleet: fleet.New(config.Registry, config.Carrier, config.Zone, config.Log), ids: newIDs()}
	t.turns.seed = maphash.MakeSeed()
	for _, i := range config.Interceptors {
		if i.Send != nil {
			t.sends = append(t.sends, i.Send)
		}
		if i.Attempt != nil {
			t.attempts = append(t.attempts, i.Attempt)
		}
	}
	return t
}

// Shut makes messages fail that are sent from now on. Messages on their way go on.
func (t *Transport) Shut() { t.closed.Store(true) }

// Close closes all connections, and ends the watches of topics. Messages on their way fail.
func (t *Transport) Close() {
	t.Shut()
	t.config.Carrier.Close()
	t.fleet.Close()
}

// check returns an error if the transport is closed.
func (t *Transport) check() error {
	if t.closed.Load() {
		return t.errClosed()
	}
	return nil
}

func (*Transport) errClosed() error { return failure.Invalid("the transport is closed") }

// Topic returns what is known of the servers on a topic.
func (t *Transport) Topic(name registry.Topic) *fleet.Topic { return t.fleet.Topic(name) }
