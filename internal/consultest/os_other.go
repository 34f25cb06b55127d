//go:build !unix

package consultest

// lock does nothing: where files cannot be locked, packages that are tested in parallel each build Consul.
func lock(string) (unlock func(), err error) { return func() {}, nil }
