// Package intake receives messages for the servers of a process from all carriers. It finds the
// intended server, asks the policy and the interceptors whether to accept the message, checks the
// message, tells the server if it missed an earlier message, and passes the message to the server's
// dispatcher.
//
// A carrier at the server fills a [Message], and calls the operation that the message asks for:
// [Intake.Call], [Intake.Cast] and [Intake.Multicall] for dynamic messages, [Intake.CallTyped] and
// [Intake.Stream] for messages of typed services, [Intake.Ping] for the question whether an
// instance runs in the process. The context that the carrier passes must end when the sender no
// longer waits. Results are JSON text or protobuf messages within the limits of the process.
//
// All errors are *rpc.Errors, and the carrier encodes them. They name the server, if one was found,
// except denials by the policy. They say truthfully whether the method may have run. See
// [MethodError] for the error that a method itself returned.
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
	// Discreet hides the errors of interceptors: a sender learns only that its message was refused.
	Discreet bool
	// Gateways reports whether a caller is a trusted gateway, which may send on behalf of others; nil
	// for none.
	Gateways func(rpc.Identity) bool
	// Forward forwards messages for servers of other processes, and so makes the process a gateway;
	// nil if the process is none.
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
	// Missed is called if a sender reports that it failed to deliver an earlier message to the
	// server, with the time since that failure. It may be nil.
	Missed func(ago time.Duration)
}

// Intake receives messages for the servers of a process. It is safe for concurrent use.
type Intake struct {
	config  Config
	accepts []acceptFunc
	roster  atomic.Pointer[roster]
}

// New returns the intake of a process that has no servers yet.
func New(c Config) *Intake {
	c.Log = lograte.New(c.Log) // peers cause the log lines, and must not fill the log
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

// find returns the intended server of a dynamic message: the instance that the client chose, which
// must serve the target, or else the next in turn of the servers that serve the target.
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
	return nil, i.absent(m.InstanceID, "no server of this process matches the target; if the address is right, the topic, exchange or server name is not")
}

// absent returns the error for a message whose server is not in this process. If the instance id
// has the boot id of this process, the instance has stopped for good. Otherwise the client reached
// the wrong process, and the error has the given message.
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
