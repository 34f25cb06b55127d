package main

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// perConnection is how many goroutines a connection may have, at both ends together: eleven belong
// to gRPC, and one is ours.
const perConnection = 12

// The small form of the simulation goes through all phases, loses no message, and has no more
// goroutines for a connection than it needs.
func TestSimulation(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out, []string{"-agents", "100", "-hubs", "2", "-churn", "0.2", "-time", "1s"}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	t.Log("\n" + out.String())
	for _, name := range []string{"start", "connect", "restart a hub", "churn"} {
		if !strings.Contains(out.String(), "\n"+name+" ") {
			t.Errorf("the phase %q is missing:\n%s", name, out.String())
		}
	}
	row := regexp.MustCompile(`(\d+) connections, +(\d+) goroutines each`)
	found := row.FindStringSubmatch(out.String())
	if found == nil {
		t.Fatalf("no line says what a connection costs:\n%s", out.String())
	}
	connections, _ := strconv.Atoi(found[1])
	goroutines, _ := strconv.Atoi(found[2])
	if connections < 300 || goroutines > perConnection {
		t.Errorf("%d connections with %d goroutines each, want at least 300 with at most %d", connections, goroutines, perConnection)
	}
}

func TestRunRefuses(t *testing.T) {
	for _, args := range [][]string{{"-agents", "0"}, {"-hubs", "0"}, {"-churn", "2"}, {"-what"}} {
		if err := run(t.Context(), &bytes.Buffer{}, args); err == nil {
			t.Errorf("run(%q) = nil, want an error", args)
		}
	}
}
