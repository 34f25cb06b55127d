// Package oslorpctest runs a fleet within a test, for programs that use oslorpc. The test can make
// its servers answer, die, hang or become unreachable. The fleet records the messages that they
// accept.
//
//	f := oslorpctest.New(t)
//	node1 := f.Serve(oslorpc.Target{Topic: "agents", Server: "node1"}, []oslorpc.Endpoint{{Struct: oslorpc.Methods(Agent{})}})
//	program := NewProgram(f.Transport()) // the code under test
//	…
//	node1.Kill()
//
// Each server behaves as in a process of its own. Only the network is simulated, without sockets.
// So a fleet also works in a bubble of [testing/synctest], where the clock is fake and timeouts,
// keepalives and pauses between attempts take no real time:
//
//	synctest.Test(t, func(t *testing.T) {
//		f := oslorpctest.New(t)
//		…
//	})
//
// An assertion that fails in a method, such as t.Fatal or a require, fails both the test and the
// method. The caller of the method gets an error of kind [oslorpc.Remote] at once.
//
// A fleet belongs to the bubble in which it was made.
package oslorpctest
