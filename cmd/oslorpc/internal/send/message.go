// Package send has the commands that send messages: call, cast, fanout and multicall.
package send

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/instances"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Commands returns the commands.
func Commands(p *cli.Program) []*cobra.Command {
	return []*cobra.Command{callCommand(p), castCommand(p), fanoutCommand(p), multicallCommand(p)}
}

// message has the flags and arguments of the commands that send messages: what to send, to which
// target, and how often.
type message struct {
	program   *cli.Program
	transport *oslorpc.Transport
	target    oslorpc.Target
	method    string
	args      arguments
	context   arguments

	contextWords []string
	timeout      time.Duration
	failFast     bool
	waits        bool // also for a topic that looks misspelt
	repeat       int
	keepGoing    bool
}

// sender sends a message once and prints the outcome.
type sender func(ctx context.Context, m *message, c *oslorpc.Client) error

const argumentsLong = `Arguments are key=text, or key:=json for anything but text: numbers, true, null, [1, 2], {"a": 1}. Integers
of any size arrive exactly. The argument - reads further ones from standard input, a JSON object; without it
standard input is not read.`

// messageCommand completes a command that sends messages. Each function in more adds flags that
// only some of these commands have.
func messageCommand(p *cli.Program, cmd *cobra.Command, send sender, more ...func(*message, *cobra.Command)) *cobra.Command {
	m := &message{program: p}
	cmd.Use += " TOPIC METHOD [key=text | key:=json | -]..."
	cmd.Long += "\n\n" + argumentsLong
	cmd.DisableFlagsInUseLine = true
	cmd.Annotations = map[string]string{cli.TakesArguments: ""}
	cmd.Args = p.Takes(2, -1, "TOPIC and METHOD")
	cmd.ValidArgsFunction = instances.CompleteMethod(p)
	cmd.RunE = func(cmd *cobra.Command, words []string) error {
		options, err := m.parse(cmd, words)
		if err != nil {
			return err
		}
		return p.WithTransport(func(t *oslorpc.Transport) error {
			m.transport = t
			return m.run(cmd.Context(), t.Client(m.target, options...), send)
		})
	}
	m.addFlags(cmd)
	for _, add := range more {
		add(m, cmd)
	}
	return cmd
}

func (m *message) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&m.target.Exchange, "exchange", "", "`exchange` of the topic (default: $"+oslorpc.ExchangeVariable+", else openstack)")
	flags.StringVar(&m.target.Namespace, "namespace", "", "`namespace` of the method, if not the default one")
	flags.StringVar(&m.target.Version, "rpc-version", "", "lowest `version` of the interface that can serve the message, as 1.4 (default 1.0)")
	flags.StringArrayVar(&m.contextWords, "context", nil, "an entry of the request context, as `k=v` or k:=json; repeat it for more")
	flags.Var((*cli.Timeout)(&m.timeout), "timeout", "`time` that each message may take, such as 500ms (default 1m, or 30s to be accepted)")
	flags.BoolVar(&m.failFast, "fail-fast", false, "fail at once if no server is there, instead of waiting for one (default: only if TOPIC looks misspelt)")
	flags.IntVarP(&m.repeat, "repeat", "n", 1, "send it this `many` times, one after the other")
	flags.BoolVar(&m.keepGoing, "keep-going", false, "with -n: continue after a failure, instead of ending")
}

// addServer adds the flag for the name of a server.
func (m *message) addServer(cmd *cobra.Command) {
	cmd.Flags().StringVar(&m.target.Server, "server", "", "send to the server of this `name` (default: any)")
	_ = cmd.RegisterFlagCompletionFunc("server", instances.CompleteServer(m.program))
}

// parse parses the words of the command line and returns the options for the client.
func (m *message) parse(cmd *cobra.Command, words []string) (options []oslorpc.ClientOption, err error) {
	m.target.Topic, m.method = words[0], words[1]
	switch {
	case m.target.Topic == "" || m.method == "":
		return nil, cli.Usage("TOPIC and METHOD must not be empty")
	case m.repeat < 1:
		return nil, cli.Usage("-n is %d: write a number from 1 on", m.repeat)
	}
	if m.context, err = parseArguments(m.contextWords); err != nil {
		return nil, fmt.Errorf("--context: %w", err)
	}
	if m.args, err = fromWords(cmd.Context(), m.program.In, words[2:]); err != nil {
		return nil, err
	}
	if cmd.Flags().Changed("timeout") {
		options = append(options, oslorpc.WithTimeout(m.timeout))
	} else {
		m.timeout = usualTimeout(cmd.Name())
	}
	m.waits = cmd.Flags().Changed("fail-fast") && !m.failFast
	return append(options, oslorpc.WithFailFast(m.failFast)), nil
}

// usualTimeout returns the default of --timeout for a command.
func usualTimeout(command string) time.Duration {
	if command == "cast" || command == "fanout" {
		return oslorpc.DefaultCastTimeout
	}
	return oslorpc.DefaultCallTimeout
}

// run sends the message as often as the command line says.
func (m *message) run(ctx context.Context, c *oslorpc.Client, send sender) error {
	if len(m.context) > 0 {
		ctx = oslorpc.WithContext(ctx, m.context.dict())
	}
	sending, stop := m.watchWait(ctx)
	defer stop()
	var first error
	failed := 0
	for range m.repeat {
		err := send(sending, m, c)
		if err != nil {
			err = m.explain(ctx, sending, err)
		}
		if err != nil && (!m.keepGoing || sending.Err() != nil) {
			return err
		}
		if err != nil {
			m.program.Report(err)
			failed++
			if first == nil {
				first = err
			}
		}
	}
	if first != nil {
		return cli.Summary(fmt.Sprintf("%d of %d messages failed", failed, m.repeat), first)
	}
	return nil
}
