// Package cuts tests calls whose connections are cut. Thousands of calls go through a proxy that
// cuts connections at random: in both directions or in one, within a frame, before and after the
// method ran, while the server's process lives or is killed. Each call must end with its result or
// with a true error, and no method may run twice.
//
// The same seed repeats a run, apart from the timing of the machine:
//
//	go test ./internal/cuts -seed 42
package cuts
