package host

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// cannotListen returns the error for an address on which this process cannot listen. Address is
// written as in the configuration.
func cannotListen(address string, err error) error {
	return &rpc.Error{
		Kind: rpc.Invalid, NotStarted: true, Cause: err,
		Message: fmt.Sprintf("cannot listen on %s: %s%s", address, failure.Dialing(err), listenAdvice(err)),
	}
}

// noPort is cannotListen for a port, or a range of ports. The error for a range contains its own
// advice.
func noPort(address string, err error) error {
	return failure.With(cannotListen(address, err), func(e *rpc.Error) {
		e.NotStarted = false
		if _, one := err.(*net.OpError); !one { //nolint:errorlint // The error for a range wraps one.
			e.Message = fmt.Sprintf("cannot listen on %s: %v", address, err)
		}
	})
}

// listenAdvice says what to do when this process cannot listen, as the end of a sentence.
func listenAdvice(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return ": stop the program that has it, or listen elsewhere; port 0 is any that is free"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return ": this machine does not have the address; write one of its own, or 0.0.0.0 and the address to advertise"
	case errors.Is(err, fs.ErrPermission):
		return ": ports below 1024, and directories of other users, need more rights"
	default:
		return ""
	}
}
