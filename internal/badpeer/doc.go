// Package badpeer is a table of programs that have the address of a server and do not behave like
// one: they hang, break HTTP/2, contradict themselves, or send without end. Its tests send every
// kind of message to each of them, alone and beside a server that is well, and check the promises
// of docs/delivery.md: an error in time that tells the truth, no message twice, bounded memory and
// log.
package badpeer
