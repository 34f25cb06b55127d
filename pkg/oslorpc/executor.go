package oslorpc

import "github.com/oslorpc/oslorpc/internal/host"

// Executor says where the methods of a server run; see [WithExecutor].
type Executor string

// The executors.
const (
	// ExecutorPool, the default, runs up to [WithWorkers] messages at once, each on a goroutine of
	// its own.
	ExecutorPool = Executor(host.Pool)
	// ExecutorBlocking runs one message at a time, in the order of arrival, on the goroutine that
	// calls [Server.Run], whatever [WithWorkers] says. Such a server cannot be started with
	// [Server.Start], which leaves it no goroutine.
	ExecutorBlocking = Executor(host.Blocking)
)

// WithExecutor sets where methods run: [ExecutorPool] or [ExecutorBlocking]. A server with another
// executor does not start; the error is of kind [Invalid].
func WithExecutor(executor Executor) ServerOption {
	return serverOption(func(c *host.ServerConfig) { c.Executor, c.Execute = host.Executor(executor), nil })
}

// WithExecutorFunc has execute decide where methods run. It must call each function that it is
// given, once, on any goroutine, and should not wait for that. The server's bounds hold: execute
// has at most [WithWorkers] functions at a time, and the others wait in the server's queue. It is
// called concurrently. If it panics, the message fails and the panic is logged.
func WithExecutorFunc(execute func(run func())) ServerOption {
	return serverOption(func(c *host.ServerConfig) { c.Executor, c.Execute = "", execute })
}
