package rpc_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func ExampleTarget() {
	anyone := rpc.Target{Topic: "q-plugin", Version: "1.2"}
	fmt.Println(anyone)

	one := anyone
	one.Server = "net1"
	fmt.Println(one)

	all := anyone
	all.Fanout = true
	fmt.Println(all)
	// Output:
	// <Target topic=q-plugin, version=1.2>
	// <Target topic=q-plugin, version=1.2, server=net1>
	// <Target topic=q-plugin, version=1.2, fanout=True>
}

func ExampleTarget_ValidateClient() {
	err := rpc.Target{Server: "net1"}.ValidateClient()
	fmt.Println(errors.Is(err, rpc.InvalidTarget))
	fmt.Println(err)
	// Output:
	// true
	// invalid target: server net1: a topic is required to send: set Target.Topic
}

func ExampleVersion_Serves() {
	server, err := rpc.ParseVersion("1.10")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, text := range []string{"1.0", "1.9", "1.10", "1.10.1", "1.11", "2.0"} {
		requested, err := rpc.ParseVersion(text)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(requested, server.Serves(requested))
	}
	// Output:
	// 1.0 true
	// 1.9 true
	// 1.10 true
	// 1.10.1 false
	// 1.11 false
	// 2.0 false
}

func ExampleCap() {
	// The oldest servers still implement 1.3.
	oldest, err := rpc.ParseCap("1.3", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(oldest.Allows(rpc.Version{Major: 1, Minor: 2}))
	fmt.Println(oldest.Allows(rpc.Version{Major: 1, Minor: 4}))
	// Output:
	// true
	// false
}

func ExampleError() {
	var err error = &rpc.Error{
		Kind:    rpc.Timeout,
		Method:  "build",
		Target:  rpc.Target{Topic: "compute", Server: "cmp-17"},
		Message: "no reply within 10s",
	}
	fmt.Println(err)

	err = fmt.Errorf("booting the instance: %w", err)
	fmt.Println(errors.Is(err, rpc.Timeout), errors.Is(err, context.DeadlineExceeded))

	if e, ok := errors.AsType[*rpc.Error](err); ok {
		fmt.Println(e.Method, e.Target.Server)
	}
	// Output:
	// timed out: build on topic compute, server cmp-17: no reply within 10s
	// true true
	// build cmp-17
}

func ExampleSafeToRetry() {
	refused := &rpc.Error{Kind: rpc.Refused, Message: "the queue is full", NotStarted: true}
	lost := &rpc.Error{Kind: rpc.OutcomeUnknown, Message: "the connection was lost"}
	fmt.Println(rpc.SafeToRetry(refused), rpc.SafeToRetry(lost))
	// Output:
	// true false
}

func ExampleRemoteError() {
	var err error = &rpc.Error{
		Kind:   rpc.Remote,
		Method: "port_update",
		Cause:  &rpc.RemoteError{Type: "PortNotFound", Message: "port 7 could not be found", Hops: []string{"net1"}},
	}
	if remote, ok := errors.AsType[*rpc.RemoteError](err); ok {
		fmt.Println(remote.Type, remote.Hops)
	}
	fmt.Println(err)
	// Output:
	// PortNotFound [net1]
	// remote error: port_update: PortNotFound: port 7 could not be found
}
