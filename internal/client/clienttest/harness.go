// Package clienttest is the test suite for clients, independent of the carrier. Every carrier that
// clients can use must pass it.
package clienttest

import (
	"testing"
	"testing/synctest"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/intake"
)

// Harness makes a network for each test.
type Harness func(t *testing.T) Network

// Network is where a client reaches processes. It works in faked time (testing/synctest).
type Network struct {
	// Carrier is the carrier of the client.
	Carrier carrier.Carrier
	// Listen makes a process accept messages at an address until stop kills the process.
	Listen func(addr string, in *intake.Intake) (stop func())
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	for name, tests := range map[string]map[string]func(*testing.T, *world){
		"deliveries":   deliveries,
		"versions":     versions,
		"errors":       failures,
		"streams":      streams,
		"interceptors": interceptors,
	} {
		t.Run(name, func(t *testing.T) {
			for name, run := range tests {
				t.Run(name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { run(t, newWorld(t, h(t))) })
				})
			}
		})
	}
}
