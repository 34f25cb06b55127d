package oslorpc

import "context"

// Start makes the server ready for messages and announces it. When Start returns, programs that
// read discovery anew find the server, and clients that watch the topic hear of it within moments.
// With [WithHold], Start returns only when the server has seen itself in discovery, and watching
// clients had time to hear of it.
//
// Ctx bounds only the start. If the server runs already, Start does nothing. If it is stopping,
// Start waits for the stop and then starts it. A failed start leaves nothing behind and can be
// tried again.
func (s *Server) Start(ctx context.Context) error { return s.hosted.Start(ctx) }

// Stop withdraws the server's registration and goes on accepting messages briefly, so that others
// learn of it. Then it refuses messages and finishes those that it accepted. A held server runs
// them then. If ctx ends first, Stop ends the contexts of the methods that still run and returns an
// error.
//
// If the server does not run, Stop does nothing. If a start is in progress, Stop waits for it, and
// aborts it when ctx ends. Concurrent calls of Stop wait together. The first ctx to end forces the
// stop for all callers.
//
// A method may stop its own server. With the method's ctx, or a context derived from it, Stop
// returns at once. The server stops when everything that it accepted has ended, including that
// method, however long ctx lasts. [WithStopTimeout] bounds the stop.
func (s *Server) Stop(ctx context.Context) error { return s.hosted.Stop(ctx) }

// Wait returns when the server has stopped. It returns at once if the server does not run. A method
// must not wait for its own server, because the server cannot stop before the method returns.
func (s *Server) Wait() { s.hosted.Wait() }

// Run starts the server, and stops it when ctx ends or Stop is called. Run returns when the server
// has finished the messages that it accepted. After ctx has ended, [WithStopTimeout] bounds the
// stop: by default, the contexts of the methods that still run end after 25 seconds, and Run
// returns two seconds later in any case. It then returns an error. [Stopping] tells methods
// beforehand. If the server runs already, Run waits for its end.
//
// With [ExecutorBlocking], a method that ends its goroutine (runtime.Goexit) ends the goroutine of
// Run, too. The server then stops, and the accepted messages run on another goroutine.
func (s *Server) Run(ctx context.Context) error { return s.hosted.Run(ctx) }
