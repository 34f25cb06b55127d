// Package lab is the laboratory: it tests oslorpc's guarantees about delivery with real processes
// and real faults.
//
// A scenario starts servers and clients as processes, injects faults, and checks the history that
// they wrote.
//
//   - [github.com/oslorpc/oslorpc/internal/lab/history] has the records that processes write: a
//     line for each execution and operation.
//   - [github.com/oslorpc/oslorpc/internal/lab/check] compares a history with the guarantees.
//     Forged histories test it.
//   - [github.com/oslorpc/oslorpc/internal/lab/role] implements the processes: servers, clients
//     and gateways.
//   - [github.com/oslorpc/oslorpc/internal/lab/world] starts processes, Consul agents, proxies and
//     networks, and breaks them.
//   - [github.com/oslorpc/oslorpc/internal/lab/scenario] has the scenarios, by name.
//   - [github.com/oslorpc/oslorpc/internal/lab/main] is the command behind `make lab`.
//
// The tests of this package run the short form of the scenarios, and prove that the whole chain
// notices servers that break guarantees. It runs on Linux. See docs/reliability.md.
package lab
