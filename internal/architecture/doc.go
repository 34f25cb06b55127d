// Package architecture tests that the repository has the structure that ARCHITECTURE.md describes:
// which packages a package may import, and how long files and functions may be.
package architecture
