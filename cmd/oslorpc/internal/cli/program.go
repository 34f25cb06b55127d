// Package cli is the common part of all commands: global flags, forms of output, errors, and exit
// codes.
package cli

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	_ "github.com/oslorpc/oslorpc/pkg/registry/consul" // for consul:// URLs
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// EndSignals are the signals after which a command stops gracefully.
var EndSignals = []os.Signal{os.Interrupt, syscall.SIGTERM}

// The values of the flag --output.
const (
	textForm = "text"
	jsonForm = "json"
)

var forms = []string{textForm, jsonForm}

// Program is one run of the command line.
type Program struct {
	In        io.Reader
	Out, Errs io.Writer
	// Transport and Output are the global flags.
	Transport, Output string
	// Trust has the global flags for connections.
	Trust trust.Config

	// command is the command that was found. Started is true once its flags and arguments are
	// valid. Earlier errors come from cobra and are about the command line.
	command *cobra.Command
	started bool
}

// AddTo adds the global flags, and the function that runs before each command, to a root command.
func (p *Program) AddTo(root *cobra.Command) {
	root.SetIn(p.In)
	root.SetOut(p.Out)
	root.SetErr(p.Errs)
	root.PersistentPreRunE = p.start
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		p.command = cmd
		return aboutFlag(cmd, err)
	})
	flags := root.PersistentFlags()
	flags.StringVar(&p.Transport, "transport", "", "transport `URL` (default: $"+oslorpc.TransportURLVariable+", else local://)")
	flags.StringVar(&p.Output, "output", textForm, "`form` of the output: text, or json, each document on one line")
	p.addTrust(flags)
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(forms, cobra.ShellCompDirectiveNoFileComp))
}

// start runs before each command.
func (p *Program) start(cmd *cobra.Command, _ []string) error {
	p.command = cmd
	if !slices.Contains(forms, p.Output) {
		return Usage("--output is %q: write %s", p.Output, strings.Join(forms, " or "))
	}
	if err := p.checkTrust(cmd); err != nil {
		return err
	}
	p.started = true
	p.LogTo(slog.LevelError) // an error that ends the command is reported anyway
	return nil
}

// JSON reports whether the output is for programs.
func (p *Program) JSON() bool { return p.Output == jsonForm }

// WithTransport opens the transport, calls a function with it, and closes it.
func (p *Program) WithTransport(do func(*oslorpc.Transport) error, options ...oslorpc.TransportOption) error {
	t, err := oslorpc.Open(p.Transport, append(options, oslorpc.WithTrust(p.Trust))...)
	if err != nil {
		return asFlags(err)
	}
	return errors.Join(asFlags(do(t)), t.Close())
}

// LogTo writes the library's logs to standard error, from a level on.
func (p *Program) LogTo(level slog.Level) {
	options := &slog.HandlerOptions{Level: level}
	if p.JSON() {
		slog.SetDefault(slog.New(slog.NewJSONHandler(p.Errs, options)))
	} else {
		slog.SetDefault(slog.New(slog.NewTextHandler(p.Errs, options)))
	}
}

// Fail reports the error that ended a command, and returns the exit code.
func (p *Program) Fail(err error) int {
	err = asAnswer(p.command, p.blame(err))
	p.Report(err)
	return ExitCode(err)
}
