package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oslorpc/oslorpc/internal/similar"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// usageError means that the command line is wrong.
type usageError struct {
	message string
	command *cobra.Command // its help is the advice; nil for the help of the root
}

// Error returns the message.
func (e *usageError) Error() string { return e.message }

func (e *usageError) advice() string {
	if e.command == nil {
		return "see oslorpc --help"
	}
	return "see " + e.command.CommandPath() + " --help"
}

// Usage returns an error about the command line.
func Usage(format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...)}
}

// Takes checks the number of arguments. Words names the arguments, such as "TOPIC [METHOD]". A
// negative maximum allows any number.
func (p *Program) Takes(atLeast, atMost int, words string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		p.command = cmd
		switch {
		case len(args) < atLeast:
			return Usage("%s needs %s", cmd.Name(), words)
		case atMost >= 0 && len(args) > atMost:
			return Usage("%s does not take %q; it takes %s", cmd.Name(), args[atMost], words)
		}
		return nil
	}
}

// UnknownCommand checks the arguments of a command that only has subcommands. Any argument is an
// error: it is the name of a subcommand that does not exist.
func UnknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	name := strings.TrimPrefix(cmd.CommandPath()+" "+args[0], cmd.Root().Name()+" ")
	if meant := cmd.SuggestionsFor(args[0]); len(meant) > 0 {
		return Usage("there is no command %q; did you mean %s?", name, strings.Join(meant, " or "))
	}
	return Usage("there is no command %q", name)
}

// complaint is an error that says what is wrong with the value of a flag. The text follows the flag
// and its value.
type complaint string

func (c complaint) Error() string { return string(c) }

// TakesArguments is the annotation of commands that accept arguments of a method, such as
// key=value.
const TakesArguments = "takes the arguments of a method"

// aboutFlag returns the error for a flag that cannot be parsed.
func aboutFlag(cmd *cobra.Command, err error) error {
	if missing, is := errors.AsType[*pflag.NotExistError](err); is {
		return Usage("%v%s", err, insteadOf(cmd, missing))
	}
	bad, is := errors.AsType[*pflag.InvalidValueError](err)
	if !is {
		return err
	}
	flag := "--" + bad.GetFlag().Name
	if wrong, is := errors.AsType[complaint](error(bad)); is {
		return Usage("%s %s %v", flag, bad.GetValue(), wrong)
	}
	return Usage("%s %q is not valid: it takes %s", flag, bad.GetValue(), article(bad.GetFlag().Value.Type()))
}

// otherwiseCalled maps names of flags in similar programs to the names of the same flags here.
var otherwiseCalled = map[string]string{"port": "listen", "url": "transport", "version": "rpc-version"}

// insteadOf suggests what the user may have meant by a flag that does not exist. The text ends a
// sentence.
func insteadOf(cmd *cobra.Command, missing *pflag.NotExistError) string {
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	name := missing.GetSpecifiedName()
	if meant := otherwiseCalled[name]; slices.Contains(known, meant) {
		return "; did you mean --" + meant + "?"
	}
	if meant := similar.Name(name, known); meant != "" {
		return "; did you mean --" + meant + "?"
	}
	if _, takes := cmd.Annotations[TakesArguments]; !takes {
		return ""
	}
	if short, value, found := strings.Cut(missing.GetSpecifiedShortnames(), "="); found {
		return fmt.Sprintf("; an argument of the method has no dash: write %s=%s", short, value)
	}
	return fmt.Sprintf("; an argument of the method has no dashes: write %s=text", name)
}

// article describes the values of a type of flags, such as "a whole number".
func article(kind string) string {
	switch kind {
	case "int", "int64", "uint", "uint16":
		return "a whole number"
	case "bool":
		return "true or false"
	default:
		return "a " + kind
	}
}

// blame completes the error that ended a command. If the command had not started yet, the error is
// about the command line, and blame adds the name of the command. An error without a kind that
// means that a context ended gets the kind for that.
func (p *Program) blame(err error) error {
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
