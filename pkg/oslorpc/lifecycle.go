package oslorpc

import "context"

// Start makes the server ready for messages and announces it. When it returns, programs that read
// discovery anew find the server; clients that watch the topic hear of it within moments. With
// [WithHold], it returns when the server has seen itself in discovery, and such clients had the
// time to hear of it.
//
// Ctx bounds the start only. A server that runs is left as it is; one that stops is started when it
// has stopped. A start that failed leaves nothing behind and can be tried again.
func (s *Server) Start(ctx context.Context) error { return s.hosted.Start(ctx) }

// Stop withdraws the server, goes on accepting for a moment so that others learn of it, then
// refuses messages and finishes what it accepted; a held server runs it then. When ctx ends first,
// Stop ends the contexts of what still runs and returns an error.
//
// A server that does not run is left as it is. A start in progress is waited for, and given up when
// ctx ends. A further call of Stop waits with the first. The first ctx to end forces the stop for
// all callers.
//
// A method may stop the server that runs it: with the method's ctx, or one that derives from it,
// Stop returns at once. The server stops when everything it accepted has ended, including that
// method, however long ctx lasts; [WithStopTimeout] bounds it.
func (s *Server) Stop(ctx context.Context) error { return s.hosted.Stop(ctx) }

// Wait returns when the server has stopped; at once if it does not run. A method that waits for its
// own server keeps it from stopping.
func (s *Server) Wait() { s.hosted.Wait() }

// Run starts the server, and stops it when ctx ends or Stop is called. It finishes what the server
// accepted. [WithStopTimeout] bounds that after ctx has ended: by default, after 25 seconds the
// contexts of the methods that still run end, and two seconds later Run returns in any case; it
// returns an error then. [Stopping] tells methods beforehand. If the server runs already, Run
// joins in waiting for its end.
//
// With [ExecutorBlocking], a method that ends its goroutine (runtime.Goexit) ends the goroutine of
// Run, too. The server then stops; what it accepted runs on another goroutine.
func (s *Server) Run(ctx context.Context) error { return s.hosted.Run(ctx) }
