package main

import (
	"fmt"
	"os"
	"slices"
)

// host stands in for a [testing.TB] to which the Consul agent belongs.
type host struct {
	failed  bool
	cleanup []func()
}

func (*host) Helper() {}

// Fatalf ends the program.
func (h *host) Fatalf(format string, args ...any) {
	h.failed = true
	h.Logf(format, args...)
	h.clean()
	os.Exit(1)
}

func (*host) Logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (h *host) Skip(args ...any) { h.Fatalf("%s", fmt.Sprint(args...)) }

func (h *host) TempDir() string {
	dir, err := os.MkdirTemp("", "oslorpc-interop-")
	if err != nil {
		h.Fatalf("no directory for Consul: %v", err)
	}
	h.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (h *host) Cleanup(do func()) { h.cleanup = append(h.cleanup, do) }

func (h *host) Failed() bool { return h.failed }

// clean runs the cleanup functions in reverse order.
func (h *host) clean() {
	for _, do := range slices.Backward(h.cleanup) {
		do()
	}
	h.cleanup = nil
}
