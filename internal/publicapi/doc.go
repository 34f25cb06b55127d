// Package publicapi has tests of the API that programs see: every package under pkg that is not
// generated. They keep its exported names in golden files, its documentation complete, and its size
// within a limit. The package has no code of its own.
package publicapi
