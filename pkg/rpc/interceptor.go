package rpc

import "context"

// Next runs the following interceptors and then the operation itself, and returns its error. Call
// it at most once, before the interceptor returns, with a context derived from the interceptor's.
type Next func(ctx context.Context) error

// Interceptor is code around the messages of a transport's clients and servers. Each function may
// be nil. Interceptors see every message: every delivery, dynamic and typed, on every carrier. They
// are called in the order in which they were given, the first one outermost, by many goroutines at
// once.
//
// A message passes four points, in this order: Send and Attempt at the client, Accept and Run at
// the server. Attempt runs for each instance that the client tries, and for each copy of a fanout
// or a gather. The other functions run once.
type Interceptor struct {
	// Send runs around a message of a client. It begins before an instance is chosen. Next returns
	// at the outcome: the result, the acceptance, the last item of a stream, or the last reply of a
	// gather. The caller gets Send's error as an [*Error]. An error of another type gets the kind
	// [AccessDenied] if the message was not sent. If next fails and Send returns nil, the caller
	// sees a success with the zero value as the result. If Send does not call next, the message is
	// not sent and the caller always gets an error.
	Send func(ctx context.Context, m *Message, next Next) error
	// Attempt runs around one attempt to deliver a message to one instance. Next returns when the
	// instance answers: with its result, its acceptance, its first item, or an error. An error
	// without a call of next ends the message. But if its kind is [Refused], the message may go to
	// another instance.
	Attempt func(ctx context.Context, m *Message, next Next) error
	// Accept runs at a server before a message is accepted: before it is counted, compared with
	// earlier messages, or queued. Ctx has the request context and ends when the sender no longer
	// waits. Accept returns the context for Run and the method, which must derive from ctx.
	//
	// An error refuses the message, which has not run, and reaches its sender. In a fanout, it is
	// the error of this server. An [*Error] of the kinds [AccessDenied], [Refused],
	// [InvalidTarget], [BadArguments] and [TooLarge] arrives with its kind. The error of an ended
	// ctx arrives as [Timeout] or [Canceled]; another [Timeout] arrives as [Refused]. Any other
	// error arrives as [AccessDenied] with its text. After [Refused], a sender tries other servers,
	// and a fanout tries this server again for one second. A panic denies access and is logged. A
	// runtime.Goexit denies access and is not logged.
	Accept func(ctx context.Context, m *Message) (context.Context, error)
	// Run runs at a server around the method of an accepted message, on the method's goroutine,
	// once a worker is free. It includes the decoding of the arguments, a whole sequence of items,
	// and the handler of a stream. The context of a cast has the values of Accept's context, and no
	// deadline.
	//
	// If the method did not run, an error of Run refuses the message as an error of Accept does. A
	// Run that returns nil without a call of next refuses it, too. If the method ran, the error of
	// Run replaces the method's error, and nil makes it a success; an [*Error] of the kind
	// [AccessDenied] arrives with its kind, and says that the method may have run. Run cannot
	// replace errors that are not the method's, such as that a result cannot be sent. Panics of the
	// method pass through Run, and a panic of Run counts as a panic of the method. So does a
	// runtime.Goexit of Run if the method ran; otherwise it denies access.
	Run func(ctx context.Context, m *Message, next Next) error
}
