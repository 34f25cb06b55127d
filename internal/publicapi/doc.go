// Package publicapi tests the public API: every package under pkg that is not generated. The tests
// keep the exported names in golden files, the documentation complete, and the size within a limit.
// The package contains only tests.
package publicapi
