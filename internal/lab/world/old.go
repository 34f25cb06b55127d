//go:build linux

package world

import (
	"os/exec"
	"path/filepath"
	"strings"
)

// Before builds the laboratory as it was before a file was added to the repository, and returns the
// place for processes of that build. If Git lacks the commit, as in a shallow clone, the second
// result is false, and the place is for this build.
func (w *World) Before(file string) (place Place, is bool) {
	added, err := w.git("log", "--format=%H", "--diff-filter=A", "--", ":/"+file)
	commits := strings.Fields(added)
	if err != nil || len(commits) == 0 {
		return Place{}, false
	}
	before := commits[len(commits)-1] + "^"
	dir := w.Scratch("before")
	packed := filepath.Join(dir, "tree.tar")
	top, err := w.git("rev-parse", "--show-toplevel") // elsewhere, git archive packs only a part of the tree
	if err != nil {
		return Place{}, false
	}
	if _, err := w.git("-C", strings.TrimSpace(top), "archive", "--format=tar", "--output="+packed, before); err != nil {
		return Place{}, false
	}
	w.Must(exec.CommandContext(w.ctx, "tar", "-xf", packed, "-C", dir).Run()) //nolint:gosec // Ours.
	place.Program = filepath.Join(dir, "lab")
	build := exec.CommandContext(w.ctx, "go", "build", "-trimpath", "-o", place.Program, "./internal/lab/main") //nolint:gosec // Ours.
	build.Dir = dir
	if said, err := build.CombinedOutput(); err != nil {
		w.Fatalf("building the commit before %s: %v\n%s", file, err, said)
	}
	return place, true
}

// git runs a command of Git in the working directory, which is within the repository.
func (w *World) git(args ...string) (string, error) {
	out, err := exec.CommandContext(w.ctx, "git", args...).Output() //nolint:gosec // Ours.
	return string(out), err
}
