//go:build !unix

package consultest

// Pause skips the test, since this system has no signal that freezes a process.
func (a *Agent) Pause() {
	a.tb.Helper()
	a.tb.Skip("the test freezes Consul, which works only on Unix")
}

// Resume ends a Pause.
func (a *Agent) Resume() {}
