// Package cuts tests what becomes of calls while their connections are cut: thousands of calls go
// through a proxy that cuts at random, both ways or one way, within a frame, before and after the
// method ran, while the server's process lives or is killed. Each call must end with its result or
// with an error that tells the truth, and no method may run twice.
//
// A run is repeated by its seed, up to what the machine makes of it:
//
//	go test ./internal/cuts -seed 42
package cuts
