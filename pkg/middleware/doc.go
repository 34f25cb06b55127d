// Package middleware has interceptors for the messages of oslorpc. Programs can also write their
// own as an [rpc.Interceptor].
//
// [UnaryAccept] and [UnaryRun] adapt a unary server interceptor of gRPC. There are many of them,
// for authentication, rate limits, logging, metrics and recovery. gRPC itself calls such an
// interceptor only for unary RPCs, and shows it the RPC that carries a message. An adapted
// interceptor is called once for every message: calls, casts, each copy of a fanout, multicalls,
// monitored calls and typed streams, on every carrier. It sees the method of the program, not the
// RPC.
//
//	t, err := oslorpc.Open(url, oslorpc.WithInterceptors(
//		middleware.UnaryRun(recovery.UnaryServerInterceptor()),
//		middleware.UnaryAccept(auth.UnaryServerInterceptor(authenticate))))
//
// # Which of the two
//
// UnaryAccept is for interceptors that decide whether the server accepts a message, and for
// interceptors that add values to its context. The sender of a cast gets their error, too. A
// refused message uses no place in the queue.
//
// UnaryRun is for interceptors around the method, such as logs, metrics and recovery. They run on a
// worker, after the message waited in the queue. They see neither this wait nor the messages that
// were refused.
//
// # What an adapted interceptor sees
//
//   - The full method is "/package.Service/Method" for a typed message, and "/topic/method" or
//     "/topic.namespace/method" for a dynamic one. In the latter, "%25" stands for a percent sign
//     in a name and "%2F" for a slash, so it always has exactly two slashes. A question to a
//     process about itself has the name of its RPC, such as
//     "/oslorpc.v1.IntrospectionService/Ping".
//   - The request is the message of a typed method. For a dynamic method it is an
//     [oslorpcv1.Message] with the target, the method, the id, the order key and the keyword
//     arguments as JSON. For a stream, whose messages come later, it is an [emptypb.Empty].
//   - The response is an [emptypb.Empty]: interceptors do not see results, and cannot replace them.
//   - The incoming metadata is the message's. The peer is the process at the other end of the
//     connection, with the TLS state of that connection. Package grpc/metadata and package
//     grpc/peer find them.
//   - [grpc.Method] returns the full method. [grpc.SetHeader] and [grpc.SetTrailer] work for typed
//     calls and streams that gRPC carries, and have no effect for other messages.
//   - The server in the [grpc.UnaryServerInfo] is nil.
//
// Interceptors of clients have no adapter: gRPC passes them the connection that they use, and a
// message has none before an instance is chosen. Use [rpc.Interceptor.Send] and
// [rpc.Interceptor.Attempt] instead.
package middleware
