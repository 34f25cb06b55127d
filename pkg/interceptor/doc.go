// Package interceptor brings the version rules of oslorpc to any gRPC client and server: no
// discovery, no transport and nothing else of oslorpc is needed. What the rules of a service are,
// is in the options of its declaration, from oslorpc/v1/options.proto:
//
//	service Volumes {
//	  option (oslorpc.v1.service) = {topic: "volumes", version: "1.2"};
//	  rpc Snapshot(SnapshotRequest) returns (SnapshotResponse) {
//	    option (oslorpc.v1.method) = {since: "1.1"};
//	  }
//	}
//	message SnapshotRequest {
//	  string name = 1;
//	  string comment = 2 [(oslorpc.v1.field) = {since: "1.2", older_peers: OLDER_PEERS_DROP}];
//	}
//
// A client computes the version that each message needs, from its method and the fields that are
// set, holds it against its cap, and carries it to the server:
//
//	versions := []interceptor.ClientOption{
//		interceptor.WithVersionAliases(map[string]string{"epoxy": "1.1"}),
//		interceptor.WithVersionCap("epoxy"),
//	}
//	conn, err := grpc.NewClient(address, credentials,
//		grpc.WithChainUnaryInterceptor(interceptor.UnaryClient(versions...)),
//		grpc.WithChainStreamInterceptor(interceptor.StreamClient(versions...)))
//	answer, err := pb.NewVolumesClient(conn).Snapshot(ctx, request) // a comment is left out; errors.Is(err, rpc.VersionCapExceeded)
//
// A server refuses, before the handler runs, what it does not implement:
//
//	server := grpc.NewServer(
//		grpc.ChainUnaryInterceptor(interceptor.UnaryServer()),
//		grpc.ChainStreamInterceptor(interceptor.StreamServer()))
//	pb.RegisterVolumesServer(server, volumes)
//
// Either side works without interceptors at the other. Services without the option, such as health,
// pass through untouched, and so do those whose declaration is not linked into the program.
//
// The errors that interceptors make, and the refusals of servers, are both an [rpc.Error],
// for errors.As and errors.Is, and a gRPC status; see errors.proto for the codes, to which comes
// FAILED_PRECONDITION for a cap. An error of a handler's own arrives as it was. But if a handler
// returns the error of a call of its own, it arrives as [rpc.Remote]: what it says of retries is
// true of that call only.
package interceptor
