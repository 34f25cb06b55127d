package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// usageError means that the command line is wrong.
type usageError struct {
	message string
	command *cobra.Command // whose help says how it is right; nil for the root's
}

// Error returns the message.
func (e *usageError) Error() string { return e.message }

func (e *usageError) advice() string {
	if e.command == nil {
		return "see oslorpc --help"
	}
	return "see " + e.command.CommandPath() + " --help"
}

func usage(format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...)}
}

// blame returns an error with the command that it is about, if the command line is wrong, and with a kind if it has none because
// a context ended. What comes before a command starts is about the command line.
func (p *program) blame(err error) error {
	var wrong *usageError
	switch {
	case errors.As(err, &wrong):
		wrong.command = p.command
	case !p.started:
		return &usageError{message: err.Error(), command: p.command}
	case oslorpc.KindOf(err) != rpc.Unknown:
	case errors.Is(err, context.Canceled):
		return &oslorpc.Error{Kind: oslorpc.Canceled, Cause: err, Message: interrupted}
	case errors.Is(err, context.DeadlineExceeded):
		return &oslorpc.Error{Kind: oslorpc.Timeout, Cause: err}
	}
	return err
}
