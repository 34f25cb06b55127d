// Package rpcapi is the RPC layer of a small Nova: its RPC APIs, as pairs of a client side and a
// server side, under the names and with the messages of Nova.
//
// A client side is a struct, such as [ComputeAPI], with a method for each message. The server side
// is an interface, [Compute], whose methods are suitable as RPCs, and functions that make an
// [oslorpc.Endpoint] from an implementation: [ComputeManager], and [ComputeV5Proxy] for the
// previous major version. Between the two is a struct for the arguments of each method, whose JSON
// names are the keyword arguments.
//
// In Nova, a client checks for each message which version it may send, and changes the message step
// by step for older computes:
//
//	def resize_instance(self, ctxt, instance, migration, image, flavor, request_spec, …):
//	    version = self._ver(ctxt, '5.2')
//	    client = self.router.client(ctxt)
//	    if not client.can_send_version(version):
//	        msg_args.pop('request_spec')
//	        version = '5.1'
//	    …
//
// Here the steps are the variants of one message. The library selects the variant together with the
// server:
//
//	oslorpc.Variants{
//		oslorpc.At("6.0", ResizeArgs{Instance: instance, Flavor: flavor, RequestSpec: spec}),
//		oslorpc.At("5.0", ResizeArgs5{Instance: instance, InstanceType: flavor}),
//	}
//
// An argument that an older compute does not know is left out only if the caller did not set it.
// Otherwise the message has no such variant, and fails before it is sent.
package rpcapi
