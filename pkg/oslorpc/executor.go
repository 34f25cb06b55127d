package oslorpc

import "github.com/oslorpc/oslorpc/internal/host"

// Executor says where the methods of a server run; see [WithExecutor].
type Executor string

// The executors.
const (
	// ExecutorPool, the default, runs up to [WithWorkers] messages at once, each on its own
	// goroutine.
	ExecutorPool = Executor(host.Pool)
	// ExecutorBlocking runs one message at a time, in the order of arrival, on the goroutine that
	// calls [Server.Run]. It ignores [WithWorkers]. Such a server cannot use [Server.Start], which
	// provides no goroutine to run messages on.
	ExecutorBlocking = Executor(host.Blocking)
)

// WithExecutor sets where methods run: [ExecutorPool] or [ExecutorBlocking]. A server with another
// executor does not start; the error is of kind [Invalid].
func WithExecutor(executor Executor) ServerOption {
	return serverOption(func(c *host.ServerConfig) { c.Executor, c.Execute = host.Executor(executor), nil })
}

// WithExecutorFunc lets execute decide where methods run. Execute must call each function that it
// receives exactly once, on any goroutine, and should not wait for the call to end. The limits of
// the server still apply: execute has at most [WithWorkers] functions at a time, and other messages
// wait in the server's queue. Execute is called concurrently. If it panics, the message fails and
// the panic is logged.
func WithExecutorFunc(execute func(run func())) ServerOption {
	return serverOption(func(c *host.ServerConfig) { c.Executor, c.Execute = "", execute })
}
