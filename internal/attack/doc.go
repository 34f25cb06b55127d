// Package attack tests what hostile peers can do to a server. Each test attacks a process of its
// own, which has a memory budget, and checks how much memory it takes and how it serves others
// meanwhile.
package attack
