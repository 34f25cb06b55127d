package rpc

import "context"

// Next runs the rest: the interceptors that follow, and what they are around. It returns what came
// of it. Call it at most once, before the interceptor returns, with a context that derives from the
// one that the interceptor got.
type Next func(ctx context.Context) error

// Interceptor is code around the messages of a transport, of its clients and its servers. Each
// function may be nil. They see every message: every delivery, dynamic and typed, on every carrier.
// Interceptors are called in the order in which they were given, the first one outermost, by many
// goroutines at once.
//
// A message passes its four points once each, in this order: Send, Attempt at the client; Accept,
// Run at the server. Attempt runs anew for each instance that the message is offered to, and for
// each copy of a fanout or a gather.
type Interceptor struct {
	// Send runs around a message of a client, from before an instance is chosen until its outcome:
	// the result, the acceptance, the last item of a stream, the last reply of a gather. Its error
	// is what the caller gets, as an [*Error]: of the kind [AccessDenied] if it is none and the
	// message was not sent. Nil in place of an error of next makes a success of it, with the zero
	// value for a result. Without a call of next the message is not sent, and the caller gets an
	// error in any case.
	Send func(ctx context.Context, m *Message, next Next) error
	// Attempt runs around one attempt to hand a message to one instance, until it answers: with its
	// result, its acceptance, its first item, or an error. An error without a call of next ends the
	// message, unless its kind is [Refused]: then it may go to another instance.
	Attempt func(ctx context.Context, m *Message, next Next) error
	// Accept runs at a server before a message is accepted: before it counts, before it is compared
	// with earlier ones, before it waits. Ctx has the request context and ends when the sender no
	// longer waits. Accept returns the context that Run and the method get, which must derive from
	// ctx.
	//
	// An error refuses the message, which has not run, and reaches its sender; in a fanout, as the
	// error of this server. An [*Error] of the kinds [AccessDenied], [Refused], [InvalidTarget],
	// [BadArguments] and [TooLarge] arrives with its kind. The error of a ctx that has ended
	// arrives as [Timeout] or [Canceled]; another [Timeout] arrives as [Refused]. Any other error
	// arrives as [AccessDenied] with its text. After [Refused] a sender tries other servers, and a
	// fanout tries this one again for a second. A panic denies access, and is logged; so
	// does a runtime.Goexit, which is not.
	Accept func(ctx context.Context, m *Message) (context.Context, error)
	// Run runs at a server around a message that was accepted, on the method's goroutine, once a
	// worker is free: around a whole sequence of items, and around the handler of a stream. It
	// covers the decoding of the arguments. The context of a cast has the values of Accept's, and
	// no deadline.
	//
	// If the method did not run, an error of Run refuses the message as an error of Accept does,
	// and so does a Run that returns nil without a call of next. If the method ran, the error of
	// Run takes the place of the method's error, and nil makes a success of it; an [*Error] of the
	// kind [AccessDenied] arrives with its kind, and says that the method may have run. Errors that
	// are not the method's stay what they are, such as that a result cannot be sent. Panics of the
	// method pass through Run, and a panic of Run counts as one of the method.
	// So does a runtime.Goexit of Run, unless the method did not run: then it denies access.
	Run func(ctx context.Context, m *Message, next Next) error
}
