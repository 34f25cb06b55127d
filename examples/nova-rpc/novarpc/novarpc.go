// Package novarpc is a facade of oslorpc with the names of nova.rpc, the RPC API of OpenStack Nova
// from 2011 to 2013, for services that were written in its terms.
//
// A service consumes its topic in three ways. In nova.rpc each was a separate queue:
//
//	rpc := novarpc.New(transport)
//	conn := rpc.CreateConnection(host)
//	err = conn.CreateConsumer(novarpc.Topic("compute"), manager, false)             // one host of the topic
//	err = conn.CreateConsumer(novarpc.QueueGetFor("compute", host), manager, false) // this host
//	err = conn.CreateConsumer(novarpc.Topic("compute"), manager, true)              // all hosts of the topic
//	err = conn.ConsumeInThread(ctx)
//
// Callers reach any service, a certain one, or all:
//
//	uptime, err := novarpc.Call[string](ctx, rpc, novarpc.Topic("compute"), novarpc.Msg{Method: "get_host_uptime"})
//	err = rpc.Cast(ctx, novarpc.QueueGetFor("compute", host), novarpc.Msg{Method: "run_instance", Args: args})
//	report, err := rpc.FanoutCast(ctx, novarpc.Topic("compute"), novarpc.Msg{Method: "refresh"})
//	for line, err := range novarpc.Multicall[string](ctx, rpc, queue, novarpc.Msg{Method: "get_console_output", Args: args})
//
// The context of nova.rpc is the dict in ctx; see [oslorpc.WithContext]. Errors are oslorpc's.
// Wrong use of this package gives errors of kind [oslorpc.Invalid] or [oslorpc.InvalidTarget].
package novarpc

import (
	"fmt"
	"sync"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// RPC replaces the module nova.rpc: it makes connections, which consume, and sends messages. It is
// safe for concurrent use. It need not be closed; close the transport, which replaces nova.rpc's
// cleanup.
type RPC struct {
	transport *oslorpc.Transport
	options   []oslorpc.ClientOption
	// clients has a client for each topic, so that each topic has its own round robin.
	clients sync.Map // string -> *oslorpc.Client
}

// New returns the RPC of a transport. The options apply to every message that it sends. For
// example, [oslorpc.WithTimeout] is the flag rpc_response_timeout.
func New(transport *oslorpc.Transport, options ...oslorpc.ClientOption) *RPC {
	return &RPC{transport: transport, options: options}
}

// Msg is a message: the method to run, and its arguments.
type Msg struct {
	// Method is the remote name of the method, such as "run_instance".
	Method string
	// Args are the keyword arguments: nil for none, a struct whose JSON names are their names, or a
	// map with string keys.
	Args any
	// Namespace is the namespace of the interface, empty for proxies without a namespace.
	Namespace string
	// Version is the lowest version of the interface that can run the method, empty for 1.0.
	Version string
}

func invalid(kind oslorpc.Kind, format string, args ...any) error {
	return &oslorpc.Error{Kind: kind, Message: fmt.Sprintf(format, args...), NotStarted: true}
}
