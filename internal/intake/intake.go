// Package intake takes messages in for the servers of a process, whatever carries them. It finds
// the intended server, checks the message, asks interceptors whether to accept it, tells the server
// what it missed, and hands the message to the server's dispatcher.
//
// A carrier at the server fills a [Message], and calls the operation that the message asks for:
// [Intake.Call], [Intake.Cast] and [Intake.Multicall] for dynamic messages, [Intake.CallTyped] and
// [Intake.Stream] for messages of typed services, [Intake.Ping] for a question whether an instance
// is there. The context that it passes ends when the sender no longer waits. Results are JSON text
// or protobuf messages within the limits of the process.
//
// All errors are *rpc.Errors. If a server was found, they name it. They say truthfully whether the
// method may have run. The carrier encodes them. See [MethodError] for the error that a method
// itself returned.
package intake

import (
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/gate"
	"github.com/oslorpc/oslorpc/internal/limits"
	"github.com/oslorpc/oslorpc/internal/lograte"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Config is the configuration of an intake.
type Config struct {
	// BootID identifies this run of the process.
	BootID string
	// Exchange is the exchange of targets that name none.
	Exchange string
	// MaxSize bounds a request and a result, in bytes.
	MaxSize int
	// CallTime bounds how long a message may take if its sender waits; 0 for no bound.
	CallTime time.Duration
	// Gate decides which callers may send what, before interceptors are asked; nil for all.
	Gate *gate.Gate
	// Refusals returns what the process refused because of its limits; nil for nothing.
	Refusals func() map[limits.Reason]int64
	// Interceptors decide whether messages are accepted. The dispatchers use their Run.
	Interceptors []rpc.Interceptor
	// Discreet processes tell senders only that interceptors refuse, not what they say.
	Discreet bool
	// Gateways reports whether a caller is a trusted gateway, which may send on behalf of others; nil
	// for none.
	Gateways func(rpc.Identity) bool
	// Forward makes the process a gateway: it takes messages for servers that this process does not
	// have; nil for none.
	Forward Forwarder
	Log     *slog.Logger
}

// Server is one server of the process. It is immutable.
type Server struct {
	// Instance is the server as discovery knows it. Its State is not used; the phase of Dispatch
	// replaces it.
	Instance rpc.Instance
	// Dispatch runs its messages.
	Dispatch *dispatch.Dispatcher
	// Services are the typed services that it offers, by their full protobuf names.
	Services map[string]*Service
	// Missed is told how long ago a message for the server could not be delivered; nil if the server
	// does not want to know.
	Missed func(ago time.Duration)
}

// Intake takes messages in for the servers of a process. It is safe for concurrent use.
type Intake struct {
	config  Config
	accepts []acceptFunc
	roster  atomic.Pointer[roster]
}

// New returns the intake of a process that has no servers yet.
func New(c Config) *Intake {
	c.Log = lograte.New(c.Log) // peers cause the lines
	i := &Intake{config: c}
	for _, interceptor := range c.Interceptors {
		if interceptor.Accept != nil {
			i.accepts = append(i.accepts, interceptor.Accept)
		}
	}
	i.SetServers(nil)
	return i
}

// SetServers replaces the servers of the process. The list must not be changed afterwards.
func (i *Intake) SetServers(servers []*Server) { i.roster.Store(newRoster(servers)) }

// Servers returns the servers of the process, in the order in which they were started.
func (i *Intake) Servers() []*Server { return i.roster.Load().servers }

// Offers reports whether a server of the process offers a typed service.
func (i *Intake) Offers(service string) bool { return i.roster.Load().services[service] != nil }

// BootID identifies this run of the process.
func (i *Intake) BootID() string { return i.config.BootID }

// Exchange is the exchange of targets that name none.
func (i *Intake) Exchange() string { return i.config.Exchange }

// find returns the intended server of a dynamic message. If the client chose an instance, the
// server must be that instance and serve the target. Otherwise servers that serve the target take
// turns.
func (i *Intake) find(m *Message) (*Server, error) {
	topic := registry.Topic{Exchange: m.Target.Exchange, Name: m.Target.Topic}
	if topic.Exchange == "" {
		topic.Exchange = i.config.Exchange
	}
	if g := i.roster.Load().topics[topic]; g != nil {
		if s := g.find(m.Target.Server, m.InstanceID); s != nil {
			return s, nil
		}
	}
	return nil, i.absent(m.InstanceID, "no server of this process is meant; if the address is right, the topic, exchange or server name is not")
}

// absent returns the error for a message whose server is not in this process. An instance of this
// run that is not here has stopped for good. Otherwise the client reached the wrong process.
func (i *Intake) absent(instanceID, message string) *rpc.Error {
	is := func(s *Server) bool { return s.Instance.ID == instanceID }
	if strings.HasPrefix(instanceID, i.config.BootID+".") && !slices.ContainsFunc(i.Servers(), is) {
		e := refusal.New(refusal.Stopping)
		e.Message = "the instance has stopped"
		return e
	}
	e := refusal.New(refusal.Misdirected)
	e.Message = message
	return e
}
