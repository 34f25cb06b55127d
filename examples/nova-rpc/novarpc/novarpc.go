// Package novarpc is a facade of oslorpc with the names of nova.rpc, the RPC API of OpenStack Nova
// from 2011 to 2013, for services that were written in its terms.
//
// A service consumes under its topic in three ways. In nova.rpc each was a queue of its own:
//
//	rpc := novarpc.New(transport)
//	conn := rpc.CreateConnection(host)
//	err = conn.CreateConsumer(novarpc.Topic("compute"), manager, false)             // one host of the topic
//	err = conn.CreateConsumer(novarpc.QueueGetFor("compute", host), manager, false) // this host
//	err = conn.CreateConsumer(novarpc.Topic("compute"), manager, true)              // all hosts of the topic
//	err = conn.ConsumeInThread(ctx)
//
// Its callers reach any of them, one, or all:
//
//	uptime, err := novarpc.Call[string](ctx, rpc, novarpc.Topic("compute"), novarpc.Msg{Method: "get_host_uptime"})
//	err = rpc.Cast(ctx, novarpc.QueueGetFor("compute", host), novarpc.Msg{Method: "run_instance", Args: args})
//	report, err := rpc.FanoutCast(ctx, novarpc.Topic("compute"), novarpc.Msg{Method: "refresh"})
//	for line, err := range novarpc.Multicall[string](ctx, rpc, queue, novarpc.Msg{Method: "get_console_output", Args: args})
//
// What nova.rpc calls the context is the dict that ctx carries; see [oslorpc.WithContext]. Errors
// are oslorpc's; wrong use of this package is of kind [oslorpc.Invalid] or
// [oslorpc.InvalidTarget].
package novarpc

import (
	"fmt"
	"sync"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// RPC is what the module nova.rpc was: it makes connections, which consume, and sends messages. It
// is safe for concurrent use. It needs no end of its own; closing the transport, which is left to
// the caller, is nova.rpc's cleanup.
type RPC struct {
	transport *oslorpc.Transport
	options   []oslorpc.ClientOption
	// clients has a client for each topic that was sent to, so that each has a round robin of its
	// own.
	clients sync.Map // string -> *oslorpc.Client
}

// New returns the RPC of a transport. The options hold for every message that it sends;
// [oslorpc.WithTimeout], for one, is the flag rpc_response_timeout.
func New(transport *oslorpc.Transport, options ...oslorpc.ClientOption) *RPC {
	return &RPC{transport: transport, options: options}
}

// Msg is a message: which method to run, and with what.
type Msg struct {
	// Method is the remote name of the method, such as "run_instance".
	Method string
	// Args are the keyword arguments: nil for none, a struct whose JSON names are their names, or a
	// map with string keys.
	Args any
	// Namespace is the interface meant; empty for the interface of proxies without a name.
	Namespace string
	// Version is the lowest version of the interface that can run the method; empty for 1.0.
	Version string
}

func invalid(kind oslorpc.Kind, format string, args ...any) error {
	return &oslorpc.Error{Kind: kind, Message: fmt.Sprintf(format, args...), NotStarted: true}
}
