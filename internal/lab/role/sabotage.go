//go:build linux

package role

import (
	"strings"

	"github.com/oslorpc/oslorpc/internal/lab/history"
)

// Sabotage is a guarantee that a process breaks on purpose. With it, the tests of the laboratory
// prove that the whole chain, from the process to the checker, notices violations.
type Sabotage string

// These are the guarantees that can be broken.
const (
	// RunTwice runs each message twice.
	RunTwice Sabotage = "run twice"
	// DropCasts accepts casts and does not run them.
	DropCasts Sabotage = "drop casts"
	// DropCalls answers calls without running them.
	DropCalls Sabotage = "drop calls"
	// Pose answers as another instance.
	Pose Sabotage = "pose as another"
	// CutShort ends streams early, without an error.
	CutShort Sabotage = "cut streams short"
	// Hush makes a client call every failure safe to retry.
	Hush Sabotage = "call failures safe"
	// Leak leaves a goroutine and an open file.
	Leak Sabotage = "leak"
)

func (h *host) repeats() bool { return h.Sabotage == RunTwice }

func (h *host) drops(id string) bool {
	casts := history.Form(id[:strings.IndexByte(id, '/')]).Casts()
	return h.Sabotage == DropCasts && casts || h.Sabotage == DropCalls && !casts
}

func (h *host) disguise(instance string) string {
	if h.Sabotage == Pose {
		return "another"
	}
	return instance
}

func (h *host) shorten(items int) int {
	if h.Sabotage == CutShort {
		return items / 2
	}
	return items
}
