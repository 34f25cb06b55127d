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

// cannotListen returns the error for an address, as the configuration has it, at which this process
// cannot listen.
func cannotListen(address string, err error) error {
	return &rpc.Error{
		Kind: rpc.Invalid, NotStarted: true, Cause: err,
		Message: fmt.Sprintf("cannot listen on %s: %s%s", address, failure.Dialing(err), listenAdvice(err)),
	}
}

// noPort is cannotListen for a port. An error about several ports has its own advice.
func noPort(address string, err error) error {
	return failure.With(cannotListen(address, err), func(e *rpc.Error) {
		e.NotStarted = false
		if _, one := err.(*net.OpError); !one { //nolint:errorlint // What wraps it is about several.
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
