// Package anycarrier runs the tests of a package on one of the carriers, chosen at random each
// time. The guarantees of clients and servers do not depend on the carrier, so all their tests pass
// on each.
package anycarrier

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

const (
	// variable is the environment variable that selects the carrier if neither the program nor the
	// URL of a transport does.
	variable = "OSLORPC_CARRIER"
	// seedVariable is the environment variable with the seed of the random choice, which applies if
	// the variable above is not set.
	seedVariable = "OSLORPC_TEST_SEED"
)

// All are the carriers that tests run on. [rpc.CarrierAuto] uses one of them, depending on the
// servers.
var All = []rpc.Carrier{rpc.CarrierUnary, rpc.CarrierSession}

// Main is [leak.Main] on one of the carriers. If the tests fail, it prints how to repeat them:
//
//	func TestMain(m *testing.M) { anycarrier.Main(m) }
//
// Processes that the tests start use the same carrier.
func Main(m *testing.M, after ...func()) {
	if os.Getenv(variable) == "" {
		if err := choose(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	code := leak.Run(m, after...)
	if code != 0 {
		fmt.Fprintf(os.Stderr, "repeat with %s=%s\n", variable, os.Getenv(variable))
	}
	os.Exit(code)
}

// choose sets the variable.
func choose() error {
	seed := rand.Uint64()
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			return fmt.Errorf("%s must be a number: %w", seedVariable, err)
		}
	}
	return os.Setenv(variable, string(All[seed%uint64(len(All))]))
}

// Each runs a test on each carrier. It must not run in parallel with other tests.
func Each(t *testing.T, test func(*testing.T)) {
	t.Helper()
	for _, c := range All {
		t.Run(string(c), func(t *testing.T) {
			t.Setenv(variable, string(c))
			test(t)
		})
	}
}

// EachBehindAGateway runs a test on each carrier, for a server to which a gateway connects and for
// one that is attached to it. It must not run in parallel with other tests.
func EachBehindAGateway(t *testing.T, test func(t *testing.T, attached bool)) {
	t.Helper()
	Each(t, func(t *testing.T) {
		t.Helper()
		for name, attached := range map[string]bool{"dialled": false, "attached": true} {
			t.Run(name, func(t *testing.T) { test(t, attached) })
		}
	})
}
