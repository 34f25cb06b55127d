// Package oslorpc gives Go programs the RPC semantics of OpenStack's oslo.messaging on gRPC,
// without a message broker.
//
// A [Target] names the receiver of a message. A [Transport] connects a program to the other
// programs of its fleet, and creates clients and servers. It is opened with a URL that selects how
// processes find each other.
//
//	t, err := oslorpc.Open("local://")
//
//	server := t.Server(oslorpc.Target{Topic: "agents", Server: "node1"})
//	server.Add(oslorpc.Endpoint{Version: "1.0", Struct: oslorpc.Methods(API{})})
//	err = server.Run(ctx)
//
//	client := t.Client(oslorpc.Target{Topic: "agents", Version: "1.0"})
//	sum, err := oslorpc.Call[int](ctx, client, "add", Sum{A: 1, B: 2})     // one server; waits for the result
//	err = client.Cast(ctx, "sync", nil)                                   // one server; waits for acceptance only
//	report, err := client.Fanout(ctx, "refresh", nil)                     // every server; waits for acceptance only
//	for n, err := range oslorpc.Multicall[int](ctx, client, "count", Up{To: 3}) // a stream of results
//
// A message runs at most once. It is sent again only when it provably did not run. [SafeToRetry]
// reports whether an error proves that the message did not run.
package oslorpc
