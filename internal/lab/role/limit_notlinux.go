//go:build !linux

package role

import "errors"

func limitDescriptors(uint64) error {
	return errors.New("this system cannot limit descriptors: use Linux")
}
