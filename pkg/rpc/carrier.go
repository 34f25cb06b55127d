package rpc

// Carrier says how small calls and casts travel from a client to a process: in a session, which is
// one stream for many messages, or as one gRPC call (an RPC) each. Large messages, multicalls and
// streams are always RPCs. So are all messages to a process that does not accept sessions.
type Carrier string

// The carriers.
const (
	// CarrierAuto, the default, opens a session with each process that announces that it accepts
	// sessions. It sends messages to other processes as RPCs.
	CarrierAuto Carrier = "auto"
	// CarrierSession tries to open a session with each process as soon as it is connected, even if
	// the process does not announce sessions. The first messages wait briefly for the session.
	CarrierSession Carrier = "session"
	// CarrierUnary sends each message as an RPC.
	CarrierUnary Carrier = "unary"
	// CarrierRouted sends each message as an RPC, with headers that name the receiver:
	// oslorpc-exchange, oslorpc-topic, oslorpc-server and oslorpc-version. Proxies at layer 7 can
	// route and authorize by these headers; see docs/mesh.md. Servers refuse headers that
	// contradict the message.
	CarrierRouted Carrier = "routed"
)
