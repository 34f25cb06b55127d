// Package badpeer tests clients with programs that have the address of a server and do not behave
// like one: they hang, break HTTP/2, contradict themselves, or send without end. The tests send
// every kind of message to each of them, alone and beside a healthy server. They check the promises
// of docs/delivery.md: an error in time that is true, no message twice, and bounded memory and log.
package badpeer
