// Package architecture contains tests that keep the structure of the repository as ARCHITECTURE.md
// describes it: which package may import which, and how long files and functions may be.
package architecture
