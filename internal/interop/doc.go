// Package interop checks that the languages of a fleet do the same: it is `make interop`. Each
// language has one client program and one server program, which do what package wire says. A cell
// is one case with a client and a server; package interop alone knows what must come of it.
package interop
