// Package clienttest is the suite of what clients do, whatever carries their messages. Each carrier
// that clients can use passes it.
package clienttest

import (
	"testing"
	"testing/synctest"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/intake"
)

// Harness makes a network for each test.
type Harness func(t *testing.T) Network

// Network is where a client meets processes. It works in faked time (testing/synctest).
type Network struct {
	// Carrier is the client's.
	Carrier carrier.Carrier
	// Listen has a process take messages at an address, until stop kills it.
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
