package rpc

// Carrier says what carries small calls and casts from a client to a process. Every carrier sends
// each large message, multicall and stream as an RPC of its own. A process that takes no sessions
// still gets every message: an RPC carries it.
type Carrier string

// The carriers.
const (
	// CarrierAuto opens a session with each process that announces that it takes sessions. It sends
	// each message to other processes as an RPC. It is the default.
	CarrierAuto Carrier = "auto"
	// CarrierSession tries to open a session with each process as soon as it is connected, even if the
	// process does not announce sessions. The first messages wait briefly for the session.
	CarrierSession Carrier = "session"
	// CarrierUnary is an RPC for each message.
	CarrierUnary Carrier = "unary"
	// CarrierRouted is an RPC for each message, with headers that say which server the message is for:
	// oslorpc-exchange, oslorpc-topic, oslorpc-server and oslorpc-version. Proxies at layer 7 can
	// route and authorize by these headers; see docs/mesh.md. Servers refuse headers that contradict
	// the message.
	CarrierRouted Carrier = "routed"
)
