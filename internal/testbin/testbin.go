// Package testbin finds the programs that tests run.
package testbin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Find returns the path of a program. It prefers the program on PATH. Otherwise it uses the program
// in .bin of this repository. If that is missing, Find builds it from the package pkg of the module
// in the directory module.
func Find(name, module, pkg string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	root, err := findRoot()
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, ".bin", name)
	if isThere(path) {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return "", err
	}
	// The packages of this repository are tested in parallel. The first one builds, and the others
	// wait.
	unlock, err := lock(path + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if isThere(path) {
		return path, nil
	}
	return path, build(filepath.Join(root, module), pkg, path)
}

// findRoot returns the root directory of this repository. Tests run in the directory of their
// package.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; !isThere(filepath.Join(dir, "tools", "go.mod")); dir = filepath.Dir(dir) {
		if dir == filepath.Dir(dir) {
			return "", errors.New("it is not on PATH, and no directory above this one has tools/go.mod to build it from")
		}
	}
	return dir, nil
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// build builds a program. The first build may take minutes.
func build(module, pkg, path string) error {
	unfinished := path + ".new"
	cmd := exec.CommandContext(context.Background(), "go", "build", "-o", unfinished, pkg) //nolint:gosec // The path is ours.
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOBIN=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building it in %s: %w\n%s", module, err, out)
	}
	return os.Rename(unfinished, path)
}
