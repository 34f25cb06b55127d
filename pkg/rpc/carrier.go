package rpc

// Carrier says what carries small calls and casts from a client to a process. Large messages,
// multicalls and streams have an RPC each on every carrier. No message fails because its process
// takes no sessions: an RPC carries it.
type Carrier string

// The carriers.
const (
	// CarrierAuto is a session with each process that announces that it takes them, and an RPC for
	// each message to others. It is the default.
	CarrierAuto Carrier = "auto"
	// CarrierSession tries a session with each process, announced or not, as soon as it is connected.
	// The first messages wait a moment for it.
	CarrierSession Carrier = "session"
	// CarrierUnary is an RPC for each message.
	CarrierUnary Carrier = "unary"
	// CarrierRouted is an RPC for each message whose headers say, too, which server the message is
	// for: oslorpc-exchange, oslorpc-topic, oslorpc-server and oslorpc-version. Proxies at layer 7 can
	// route and authorize by them; docs/mesh.md says how. Servers refuse headers that contradict the
	// message.
	CarrierRouted Carrier = "routed"
)
