// Package carrier separates delivery, which decides where a message goes, from the transport that
// takes it there. A carrier moves one message to one instance. It knows what its network proves
// about the outcome, so its errors say truthfully whether a message may have run. It decides
// nothing else: selection, resending, admission, deadlines and identity are the same on every
// carrier.
package carrier

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Key identifies a remote process. The boot id distinguishes a process from an earlier one at the
// same address. Otherwise a connection in back-off for the old process would delay the new one by
// seconds.
type Key struct {
	Addr, BootID string
	// Unary says that the process is not known to take sessions. It does not distinguish processes.
	Unary bool
	// Exchange and Topic are where the intended instance serves. They distinguish processes only where
	// a process proves each of its topics with its own certificate.
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
	// Get returns the link to a remote process. A new link is not connected yet. Each Get needs a Put.
	Get(key Key) Link
	// Put gives a link back. The last Put closes it when its messages have ended.
	Put(link Link)
	// Renew releases a link that leads to the wrong process, and returns a replacement with its own
	// connection. Messages on the old link go on.
	Renew(link Link) Link
	// BecameReady returns a channel that is closed when a link becomes ready after this call.
	BecameReady() <-chan struct{}
	// Check returns an error if no link could move a request, because its content or its headers are
	// too large. Its errors say that nothing started. It does not check whether a typed message can be
	// encoded, since that takes as long as encoding it.
	Check(r *Request) error
	// Close closes all links. Messages on their way fail.
	Close()
}

// Link is the way to one remote process, shared by all its instances. It is safe for concurrent
// use.
type Link interface {
	// Health says how likely a message is to arrive soon.
	Health() Health
	// Outstanding is how many messages of this process the remote process has not answered.
	Outstanding() int64
	// Capacity is how many messages the remote process takes at a time.
	Capacity() int64
	// Absent reports whether nothing was at the address when it was last tried.
	Absent() bool
	// Unlist says that discovery no longer lists an instance with this link, or, with false, that it
	// lists the instance again. That alone does not prove that the process is gone.
	Unlist(is bool)
	// Explain returns a sentence that says why a message cannot be sent now. The kind is rpc.Untrusted
	// if another attempt cannot succeed until something is repaired, else rpc.Unreachable. Server is
	// the name of the intended server, which may be empty. Err is the error of the attempt, for use if
	// nothing more is known.
	Explain(server string, err error) (rpc.Kind, string)

	// Connect returns nil when the process is connected and answers. After an error, connecting goes
	// on in the background.
	Connect(ctx context.Context) error
	// Enter takes one of the places that Capacity counts, and keeps the link open until Release. It
	// waits for at most patience. Its error is [ErrFull], the error of ctx, or net.ErrClosed.
	Enter(ctx context.Context, patience time.Duration) error
	// Release gives back the place of one Enter.
	Release()

	// Do sends a message and returns when it was answered. The caller has entered. An error is an
	// *rpc.Error whose NotStarted is true only if the method provably did not run. Once Do has
	// returned nil, r must not be used any more, because it serves another message.
	Do(ctx context.Context, r *Request) (Reply, error)
	// Open sends the beginning of a stream. It returns when the instance answered: at the first item
	// or the end of a multicall, or at any sign of a typed stream on which only the server sends. For
	// a stream on which the client sends, it returns at once. The caller has entered. From the return
	// of Open until the stream or ctx ends, the stream has its own place. Errors are as for Do.
	Open(ctx context.Context, r *Request) (Stream, error)

	// Ping returns nil if the process says that it has the instance, and that the instance is not
	// stopping. The caller has entered. With an empty id, it asks only about the process.
	Ping(ctx context.Context, meant identity.Server, instanceID string) error
	// Info returns what the process reports about itself and about its servers on the topic of the
	// intended server, if it has the instance. With an empty id, it asks only about the process. With
	// requests, the report includes which callers sent the servers what. The caller has entered.
	Info(ctx context.Context, meant identity.Server, instanceID string, requests bool) (*rpc.Info, error)
}

// Describer is implemented by links that can pass on the description of a process.
type Describer interface {
	// Describe is Info, but returns the report as a protobuf message.
	Describe(ctx context.Context, meant identity.Server, instanceID string, requests bool) (proto.Message, error)
}

// Starter is a [Link] that can send casts without waiting for their answers, so that a caller can
// send to many processes before it waits for the first.
type Starter interface {
	// Start is the first half of Do. It returns nil if it did not send the message, because it would
	// have to wait or for any other reason. Do may then send the message. Afterwards r may be reused,
	// but not the data that it points to.
	Start(ctx context.Context, r *Request) Started
}

// Started is a cast that was sent.
type Started interface {
	// Wait is the second half of Do. Call it until ended is true. Ended is false if late is closed
	// first; a nil late is never closed. The error is [ErrUnsent] if the message was not sent, and Do
	// must send it.
	Wait(late <-chan struct{}) (err error, ended bool)
}

// ErrUnsent is the error of [Started.Wait] for a message that was not sent.
var ErrUnsent = errors.New("the message was not sent")

// ErrFull is the error of Enter if all places stayed in use.
var ErrFull = errors.New("all messages that the peer allows at a time are on their way")

// Mode says which answer a message expects.
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
	// Meant is the server whose name the process must prove, if servers must prove their names. Its
	// name is the one in discovery, also for a message to any server.
	Meant identity.Server
	// InstanceID is the intended instance; empty for a static address.
	InstanceID string
	// OrderKey makes messages with the same key run one after the other; empty for none.
	OrderKey string
	// Missed is how long ago the server missed a message; 0 for never. It is used only with an ID.
	Missed time.Duration
	// Silence, if it is not 0, is how long a dynamic call may go without a sign of life. The carrier
	// asks for a heartbeat every half of that time. Without a sign of life, it ends the call with
	// rpc.MonitorTimeout.
	Silence time.Duration
	// Context is the request context as JSON text; empty for none.
	Context string
	// Metadata travels with the message; nil for none. It is not changed. Carriers do not look for
	// metadata in ctx.
	Metadata rpc.Metadata
	// Kwargs are the keyword arguments of a dynamic message, as the text of a JSON object.
	Kwargs string
	// Typed replaces Kwargs in a typed message; nil for a dynamic one.
	Typed *Typed
	// Sent, if it is not nil, is called by Open once the beginning of the stream is on its way. The
	// time after that belongs to the instance.
	Sent func()
	// Caller is the process on whose behalf a gateway sends the message, as an encoded Caller message;
	// empty for the sender itself.
	Caller string
	// Peer, if it is not nil, is set to the process at the other end when the attempt has ended.
	Peer *rpc.Peer
}

// Typed is the content of a message of a typed service.
type Typed struct {
	// Path is the path of the method: "/package.Service/Method".
	Path string
	// Message is the message, or the first message of a stream; nil for a stream without messages.
	Message proto.Message
	// Result takes the result of a call.
	Result any
	// ClientStreams and ServerStreams say which ends send any number of messages.
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
// while another receives, and any goroutine may close it. Its errors are *rpc.Errors, except
// io.EOF.
type Stream interface {
	// Send sends one more message of a typed stream. An error ends the stream. The error is io.EOF if
	// the stream had ended before; Receive then returns the reason. Receive returns any other error,
	// too.
	Send(message proto.Message) error
	// CloseSend says that no message follows.
	CloseSend() error
	// Receive takes the next item. It stores the item of a multicall in a *string, as JSON text, and
	// the item of a typed stream in a message. It returns io.EOF at the end.
	Receive(item any) error
	// Header waits for the metadata that the server sent first, and returns it.
	Header() (rpc.Metadata, error)
	// Trailer returns the metadata that the server sent last, once the stream has ended.
	Trailer() rpc.Metadata
	// Close ends the stream, if it has not ended, and releases its place. Receive then returns cause,
	// if it is not nil. A stream that ended by itself need not be closed.
	Close(cause error)
}
