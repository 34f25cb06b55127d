//go:build !unix

// Package cputime measures the processor time of this process on systems that report it.
package cputime

import "time"

// Used returns 0, since this system does not report processor time.
func Used() time.Duration { return 0 }
