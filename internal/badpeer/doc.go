// Package badpeer tests clients with bad peers: programs at the address of a server that hang,
// break HTTP/2, contradict themselves, or send without end. The tests send every kind of message to
// each of them, alone and beside a healthy server. They check the promises of docs/delivery.md: a
// true error in time, no message twice, and bounded memory and log.
package badpeer
