// Package client sends messages. Each message is one operation, from the arguments to the result,
// for every delivery. The operation encodes the message and fits it to the versions at which it can
// be sent. The message passes the interceptors and goes to its servers through package delivery and
// a carrier. Then the answer is decoded. Dynamic and typed messages differ by a codec. The package
// does not know what carries its messages.
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

// Config is what the clients of a transport have in common. All fields except Zone and Interceptors
// are required.
type Config struct {
	Registry registry.Registry
	Carrier  carrier.Carrier
	// Exchange is the exchange of targets that name none.
	Exchange string
	// Caller is the name that the program gives itself.
	Caller string
	// Zone is where the program runs. Messages for any server prefer servers in this zone. It may be
	// empty.
	Zone string
	// Metadata returns a copy of the metadata that the program added to a context.
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
	// nameless are the addresses for which warnNameless has logged its warning.
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

// Shut makes later messages fail. Messages that were sent before go on.
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

// Topic returns the state of a topic.
func (t *Transport) Topic(name registry.Topic) *fleet.Topic { return t.fleet.Topic(name) }
