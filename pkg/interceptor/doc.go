// Package interceptor brings the version rules of oslorpc to any gRPC client and server. It needs
// no discovery, no transport and nothing else of oslorpc. The rules of a service are in the options
// of its declaration, from oslorpc/v1/options.proto:
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
// set. It compares this version with its cap, and sends it to the server:
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
// A server refuses requests for what it does not implement, before the handler runs:
//
//	server := grpc.NewServer(
//		grpc.ChainUnaryInterceptor(interceptor.UnaryServer()),
//		grpc.ChainStreamInterceptor(interceptor.StreamServer()))
//	pb.RegisterVolumesServer(server, volumes)
//
// Each side works without interceptors at the other side. Services without the option, such as
// health, pass through unchanged. So do services whose declaration is not linked into the program.
//
// The errors of interceptors, and the refusals of servers, are both an [rpc.Error], for errors.As
// and errors.Is, and a gRPC status. errors.proto lists the codes; a cap also uses
// FAILED_PRECONDITION. An error that a handler makes itself arrives unchanged. If a handler returns
// the error of a call that it made, that error arrives as [rpc.Remote], because [rpc.SafeToRetry]
// would otherwise be wrong: that the inner call did not run does not mean that the handler did not
// run.
package interceptor
