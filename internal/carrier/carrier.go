// Package carrier is the seam between delivery, which decides where a message goes, and what brings
// it there. A carrier moves one message to one instance. It knows what its network proves of the
// outcome, so its errors say truthfully whether a message may have run. It decides nothing else:
// selection, resending, admission, deadlines and identity are the same on every carrier.
package carrier

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Key identifies a remote process. The boot id tells a process from another that had its address
// before: a connection that waits out a back-off for the old one would cost the new one seconds.
type Key struct {
	Addr, BootID string
	// Unary says that the process is not known to take sessions. It does not tell processes apart.
	Unary bool
	// Exchange and Topic are where the instance that is meant serves. They tell processes apart
	// only where a process proves each of its topics by a certificate of its own.
	Exchange, Topic string
	// Large asks for the connection for large messages, which no others share.
	Large bool
}

// KeyOf returns the key of the process of an instance. A static address may take sessions.
func KeyOf(i rpc.Instance) Key {
	return Key{Addr: i.Addr, BootID: i.BootID, Unary: i.BootID != "" && !i.Sessions, Exchange: i.Exchange, Topic: i.Topic}
}

// Carrier has the links of a process to other processes. It is safe for concurrent use.
type Carrier interface {
	// Get returns the link to a remote process, not yet connected if it is new. Put undoes it.
	Get(key Key) Link
	// Put gives a link back. The last Put closes it when its messages have ended.
	Put(link Link)
	// Renew gives a link back that leads to the wrong process, and returns one with a connection of
	// its own in its place. Messages on the old one go on.
	Renew(link Link) Link
	// BecameReady returns a channel that is closed when some link becomes ready after this call.
	BecameReady() <-chan struct{}
	// Check returns why no link could move a request: its content or its headers are too large. It
	// is nil if a link may move it. Its errors say that nothing started. Whether a typed message
	// can be encoded is not checked, since that takes as long as encoding it.
	Check(r *Request) error
	// Close closes all links. Messages on their way fail.
	Close()
}

// Link is the way to one remote process, shared by all its instances. It is safe for concurrent
// use.
type Link interface {
	// Health says how likely a message is to arrive soon.
	Health() Health
	// Outstanding is how many messages the process is at work on for us.
	Outstanding() int64
	// Capacity is how many messages it takes at a time.
	Capacity() int64
	// Absent reports whether nothing was at the address when it was last tried.
	Absent() bool
	// Unlist notes that discovery lists an instance no more that has the link, or, with false, that
	// it lists it again. That alone does not prove that the process is gone.
	Unlist(is bool)
	// Explain says in a sentence why a message cannot be sent now. The kind is rpc.Untrusted if
	// trying again does not help until something is mended, else rpc.Unreachable. Server is the
	// name of the server meant, which may be empty; err is what failed, for the case that no more
	// is known.
	Explain(server string, err error) (rpc.Kind, string)

	// Connect returns nil when the process is connected and answers. Connecting goes on in the
	// background after an error.
	Connect(ctx context.Context) error
	// Enter takes one of the places that Capacity counts, and keeps the link open until Release. It
	// waits for at most patience. Its error is [ErrFull], the error of ctx, or net.ErrClosed.
	Enter(ctx context.Context, patience time.Duration) error
	// Release gives back the place of one Enter.
	Release()

	// Do sends a message and returns when it was answered. The caller has entered. An error is an
	// *rpc.Error whose NotStarted is true only if the method provably did not run. Once Do has
	// returned nil, nothing must use r: it serves another message.
	Do(ctx context.Context, r *Request) (Reply, error)
	// Open sends the beginning of a stream and returns when the instance answered: with the first
	// item or the end of a multicall, with any sign of a typed stream that only the server sends,
	// or at once for one that the client sends. The caller has entered. The stream has a place of
	// its own from the return of Open until it ends, or until ctx ends. Errors are as for Do.
	Open(ctx context.Context, r *Request) (Stream, error)

	// Ping returns nil if the process says that it has the instance, and that the instance does not
	// stop. The caller has entered. An empty id asks for the process alone.
	Ping(ctx context.Context, meant identity.Server, instanceID string) error
	// Info returns what the process says of itself and of its servers on the topic of the server
	// meant, if it has the instance. An empty id asks for the process alone. With requests, that
	// includes who asked the servers for what. The caller has entered.
	Info(ctx context.Context, meant identity.Server, instanceID string, requests bool) (*rpc.Info, error)
}

// Describer is implemented by links that can pass on what a process says of itself.
type Describer interface {
	// Describe returns what the process that has an instance says of itself and of its servers on
	// the topic of the server meant, as a message of the contract. As Info otherwise.
	Describe(ctx context.Context, meant identity.Server, instanceID string, requests bool) (proto.Message, error)
}

// Starter is a [Link] that can send casts without waiting for their answers, so that a caller can
// send to many processes before it waits for the first.
type Starter interface {
	// Start is the first half of Do. It returns nil if it did not send the message, since that would
	// have to wait, or for any other reason: then Do may send it. R serves others afterwards, but for
	// what it points to.
	Start(ctx context.Context, r *Request) Started
}

// Started is a cast that was sent.
type Started interface {
	// Wait is the second half of Do. It is called until it returns true. It returns false if late is
	// closed first; nil never is. The error is [ErrUnsent] if Do is to send the message after all.
	Wait(late <-chan struct{}) (err error, ended bool)
}

// ErrUnsent is the error of [Started.Wait] for a message that was not sent.
var ErrUnsent = errors.New("the message was not sent")

// ErrFull is the error of Enter when all places stayed in use.
var ErrFull = errors.New("all messages that the peer allows at a time are on their way")

// Mode says what is expected of a message.
type Mode uint8

// The modes.
const (
	// Call expects one result.
	Call Mode = iota
	// Cast expects acceptance.
	Cast
	// Multicall expects items.
	Multicall
)

// Request is one attempt to send a message to one instance.
type Request struct {
	// Target is the receiver: exchange, topic, namespace, version and server, each empty if it is
	// not given. Fanout is never set: each copy goes to one instance. At a static address, Server
	// is the server that is listed there. A typed message always has the version that it is fitted
	// to.
	Target rpc.Target
	// Method is the method's name.
	Method string
	Mode   Mode
	// ID identifies the message; empty for none.
	ID string
	// Meant is the server that the process must prove to be, if servers must prove that. Its name
	// is the one in discovery, also of a message for any server.
	Meant identity.Server
	// InstanceID is the instance meant; empty for one at a static address.
	InstanceID string
	// OrderKey makes messages with the same one run one after the other; empty for none.
	OrderKey string
	// Missed is how long ago the server missed a message; 0 for never. It counts only with an ID.
	Missed time.Duration
	// Silence, if it is not 0, is how long a dynamic call may go without a sign of life. The
	// carrier asks for one every half of it, and ends the call with rpc.MonitorTimeout without any.
	Silence time.Duration
	// Context is the request context as JSON text; empty for none.
	Context string
	// Metadata travels beside the message; nil for none. It is not changed. Carriers do not look
	// for metadata in ctx.
	Metadata rpc.Metadata
	// Kwargs are the keyword arguments of a dynamic message, as the text of a JSON object.
	Kwargs string
	// Typed is what a typed message has in place of Kwargs; nil for a dynamic one.
	Typed *Typed
	// Sent, if it is not nil, is called by Open once the beginning of the stream is on its way.
	// What comes after is the time that the instance takes.
	Sent func()
	// Caller is on whose behalf a gateway sends the message, as an encoded Caller of the contract;
	// empty for the sender itself.
	Caller string
	// Peer, if it is not nil, is told of the process at the other end when the attempt has ended.
	Peer *rpc.Peer
}

// Typed is the content of a message of a typed service.
type Typed struct {
	// Path is "/" and the full name of the service, "/" and the name of the method.
	Path string
	// Message is the message, or the first one of a stream; nil for a stream without any.
	Message proto.Message
	// Result takes the result of a call.
	Result any
	// ClientStreams and ServerStreams say which end sends any number of messages.
	ClientStreams, ServerStreams bool
	// Options are for one kind of carrier, such as gRPC's call options. Others ignore them.
	Options []any
}

// Reply is the answer to a message.
type Reply struct {
	// Result is the result of a dynamic call as JSON text. The result of a typed call is in
	// Typed.Result.
	Result string
}

// Stream is a message with several parts: a multicall, or a typed stream. One goroutine may send
// while another receives, and any may close it. Its errors are *rpc.Errors, but for io.EOF.
type Stream interface {
	// Send sends one more message of a typed stream. An error ends the stream. After io.EOF it has
	// ended before, and Receive says why; after another one, Receive reports the same.
	Send(message proto.Message) error
	// CloseSend says that no message follows.
	CloseSend() error
	// Receive takes the next item: into a *string, as JSON text, for a multicall, else into the
	// message of a typed stream. It returns io.EOF at the end.
	Receive(item any) error
	// Header returns the metadata that the server sent first; it waits for it.
	Header() (rpc.Metadata, error)
	// Trailer returns the metadata that the server sent last, once the stream has ended.
	Trailer() rpc.Metadata
	// Close ends the stream, if it has not ended, and gives back its place. Cause is the reason
	// that Receive reports from then on; nil for none. A stream that ended by itself need not be
	// closed.
	Close(cause error)
}
