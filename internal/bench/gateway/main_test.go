//go:build linux

package main

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/leak"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		exit(play(context.Background(), role, os.Args[1:]))
	}
	leak.Main(m)
}

// All sides except for nginx work, and the lines have the right format.
func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out, []string{"-rounds", "1", "-round-time", "1ms", "-callers", "2"}); err != nil {
		t.Fatal(err)
	}
	for _, side := range []string{sideRaw, sideDirect, sideGateway, "gateway-unary", "gateway-stub", "added", "throughput"} {
		if !strings.Contains(out.String(), "\n2        "+side+" ") {
			t.Errorf("the output lacks a line for %s:\n%s", side, out.String())
		}
	}
}

func TestWrongArguments(t *testing.T) {
	for _, args := range [][]string{{"-callers", "x"}, {"-nginx", "/nonexistent"}, {"-nope"}} {
		if err := run(t.Context(), &strings.Builder{}, args); err == nil {
			t.Errorf("run(%v) = nil, want an error", args)
		}
	}
}
