// Package interop implements `make interop`, which checks that all languages of a fleet behave the
// same. Each language has a client program and a server program, which do what package wire
// specifies. A cell is one case with a client and a server. Only package interop knows the expected
// results.
package interop
