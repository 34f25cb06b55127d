// Package neutronrpc is the RPC layer of a small Neutron: its RPC APIs, as pairs of a client side
// and a server side, under the names and with the messages of Neutron.
//
// In Neutron, an RPC API is two classes. The client side has a method for each message, which says
// what it requires and sends it:
//
//	class ClientAPI(object):
//	    def __init__(self, topic):
//	        target = oslo_messaging.Target(topic=topic, version='1.0')
//	        self.client = n_rpc.get_client(target)
//
//	    def my_remote_method_2(self, context, arg1):
//	        cctxt = self.client.prepare(version='1.1')
//	        return cctxt.call(context, 'my_remote_method_2', arg1=arg1)
//
// The server side has the methods themselves, under a version that says what it implements:
//
//	class ServerAPI(object):
//	    target = oslo_messaging.Target(version='1.1')
//
//	    def my_remote_method_2(self, context, arg1): …
//
// Here the client side is a struct, [ClientAPI], made on a transport. The server side is an
// interface, [ServerRPC], whose methods have the shape of an RPC, and a function of the server
// class's name, [ServerAPI], that makes an [oslorpc.Endpoint] of a value that implements it.
// Between the two is a struct for the arguments of each method, whose JSON names are the keyword
// arguments. All pairs of the package are made like this one, each in a file.
//
// What carries over from Neutron:
//
//   - A method asks for the version that it needs, not for the latest: Prepare(WithVersion("1.1")).
//     So agents that are not upgraded yet get all messages that they understand.
//   - An argument that came later is an [oslorpc.Opt], and the server has a default. Where Neutron
//     takes **kwargs, the struct embeds [oslorpc.Extra], and the server ignores what it does not
//     know.
//   - All endpoints are in the default namespace, and several share a topic: the library finds the
//     first that is compatible and has the method.
//   - A request context is in ctx. Agents make one of their own for each message, see
//     [AdminContext].
//   - Exceptions are error types that both ends know by a name, see [Open].
//
// What differs: a host is the server of a target, not a part of the topic; a cast that no server
// accepts is an error, and the notifiers return it; and discovery says which versions of an object
// are in use, see [ResourcesPushRPCAPI].
package neutronrpc
