// Package lab is the laboratory: it tests with real processes and real faults what oslorpc
// promises about delivery.
//
// A scenario starts servers and clients as processes, injects faults, and checks the history that
// they wrote.
//
//   - [github.com/oslorpc/oslorpc/internal/lab/history] is what processes write: a line for each
//     execution and operation.
//   - [github.com/oslorpc/oslorpc/internal/lab/check] compares a history with the promises. It is
//     pure, and forged histories test it.
//   - [github.com/oslorpc/oslorpc/internal/lab/role] is what a process does as a server, a client
//     or a gateway.
//   - [github.com/oslorpc/oslorpc/internal/lab/world] starts processes, Consul agents, proxies and
//     networks, and breaks them.
//   - [github.com/oslorpc/oslorpc/internal/lab/scenario] has the scenarios, by name.
//   - [github.com/oslorpc/oslorpc/internal/lab/main] is the command behind `make lab`.
//
// The tests of this package run the short form of the scenarios, and prove with servers that break
// promises that the whole chain notices. It runs on Linux. See docs/reliability.md.
package lab
