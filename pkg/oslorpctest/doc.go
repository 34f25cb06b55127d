// Package oslorpctest is a fleet within a test, for programs that use oslorpc: servers that answer,
// die, hang and cannot be reached, when the test says so, and a record of the messages that
// arrived.
//
//	f := oslorpctest.New(t)
//	node1 := f.Serve(oslorpc.Target{Topic: "agents", Server: "node1"}, []oslorpc.Endpoint{{Struct: oslorpc.Methods(Agent{})}})
//	program := NewProgram(f.Transport()) // the code under test
//	…
//	node1.Kill()
//
// Its servers are as in processes of their own, and nothing of the library is replaced but the
// network, which has no sockets. So it works in a bubble of [testing/synctest], too, where
// time-outs, keepalives and pauses between attempts take no time:
//
//	synctest.Test(t, func(t *testing.T) {
//		f := oslorpctest.New(t)
//		…
//	})
//
// An assertion that fails in a method, as t.Fatal or a require, fails the test and the method: its
// caller gets an error of kind [oslorpc.Remote] at once.
//
// A fleet belongs to the bubble in which it was made.
package oslorpctest
