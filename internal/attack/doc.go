// Package attack tests what hostile peers can do to a server. Each test attacks a separate process
// that has a memory budget. It checks how much memory the process uses, and whether the process
// still serves others.
package attack
