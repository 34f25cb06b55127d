//go:build !linux

package role

import "errors"

func limitDescriptors(uint64) error { return errors.New("descriptors are limited on linux only") }
