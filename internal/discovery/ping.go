package discovery

// PingMethod is the name of oslo.messaging's ping method, which is in the default namespace. A
// server may answer it even if it implements no interface of that namespace.
const PingMethod = "oslo_rpc_server_ping"

// IsPing reports whether a message is a ping, whatever its version.
func IsPing(namespace, method string) bool { return namespace == "" && method == PingMethod }
