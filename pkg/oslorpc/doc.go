// Package oslorpc gives Go programs the RPC semantics of OpenStack's oslo.messaging on gRPC,
// without a message broker.
//
// A [Target] names the receiver. A [Transport] connects a program to the others and makes clients
// and servers. It is opened with a URL that selects how processes find each other.
//
//	t, err := oslorpc.Open("local://")
//
//	server := t.Server(oslorpc.Target{Topic: "agents", Server: "node1"})
//	server.Add(oslorpc.Endpoint{Version: "1.0", Struct: oslorpc.Methods(API{})})
//	err = server.Run(ctx)
//
//	client := t.Client(oslorpc.Target{Topic: "agents", Version: "1.0"})
//	sum, err := oslorpc.Call[int](ctx, client, "add", Sum{A: 1, B: 2})     // any server, and its result
//	err = client.Cast(ctx, "sync", nil)                                   // any server, accepted, not awaited
//	report, err := client.Fanout(ctx, "refresh", nil)                     // every server
//	for n, err := range oslorpc.Multicall[int](ctx, client, "count", Up{To: 3}) // a stream of results
//
// A message runs at most once. It is sent again only when it provably did not run. [SafeToRetry]
// tells a caller whether this is true of an error.
package oslorpc
