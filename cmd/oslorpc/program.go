package main

import (
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// The forms of output.
const (
	textForm = "text"
	jsonForm = "json"
)

var forms = []string{textForm, jsonForm}

// program is one run of the command line.
type program struct {
	in        io.Reader
	out, errs io.Writer

	// transport and output are the global flags.
	transport, output string

	// command is the command that was found, and started is true once its flags and arguments are known to be right: errors
	// before that are cobra's, about the command line.
	command *cobra.Command
	started bool
}

// start is called before each command runs.
func (p *program) start(cmd *cobra.Command, _ []string) error {
	p.command = cmd
	if !slices.Contains(forms, p.output) {
		return usage("--output is %q: write %s", p.output, strings.Join(forms, " or "))
	}
	p.started = true
	p.logTo(slog.LevelError) // what goes wrong is told by the error itself
	return nil
}

func (p *program) inJSON() bool { return p.output == jsonForm }

// withTransport opens the transport, does something with it, and closes it.
func (p *program) withTransport(do func(*oslorpc.Transport) error, options ...oslorpc.TransportOption) error {
	t, err := oslorpc.Open(p.transport, options...)
	if err != nil {
		return err
	}
	return errors.Join(do(t), t.Close())
}

// logTo makes the library's logs go to standard error, from level on.
func (p *program) logTo(level slog.Level) {
	options := &slog.HandlerOptions{Level: level}
	if p.inJSON() {
		slog.SetDefault(slog.New(slog.NewJSONHandler(p.errs, options)))
	} else {
		slog.SetDefault(slog.New(slog.NewTextHandler(p.errs, options)))
	}
}
