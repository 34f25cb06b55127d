// Package serve has the command that runs a server for demonstrations.
package serve

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/internal/security"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
	"github.com/oslorpc/oslorpc/pkg/trust/jwt"
)

const long = `Run a server for trying things out, until SIGINT or SIGTERM. It prints a line when it is ready, and one for each message
that it ran. Its methods are:

  echo     returns its arguments, whatever they are
  add      returns the sum of the integers a and b, of any size
  sleep    returns after the time seconds
  fail     fails, with the text message if it is given; with panic:=true, by a panic
  whoami   returns the server's name and the process id
  count    streams the integers from 1 to n, with a pause of interval seconds before each if it is given

The first signal withdraws the server, so that new messages go elsewhere, and lets it finish the messages that it
accepted. The second signal ends it at once.`

// serving has the flags of the command.
type serving struct {
	target        oslorpc.Target
	listen        string
	advertise     string
	deprecated    []string
	policy        string
	hide          string
	tokens        jwt.Config
	quiet         bool
	untilInputEnd bool
}

// Command returns the command.
func Command(p *cli.Program) *cobra.Command {
	s := &serving{}
	cmd := &cobra.Command{
		Use:   "serve --topic TOPIC",
		Short: "Run a server for trying things out",
		Long:  long,
		Example: `  oslorpc serve --topic demo
  oslorpc serve --topic demo --server node1 --rpc-version 1.4 --listen 127.0.0.1:7000-7099
  oslorpc serve --topic demo --listen 0.0.0.0:7000 --advertise node1.example:7000 --ca ca.pem --cert node1.pem --key node1.key
  oslorpc serve --topic demo --listen unix:/run/user/1000/demo.sock`,
		DisableFlagsInUseLine: true,
		Args:                  p.Takes(0, 0, "no arguments, but --topic"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.complete(); err != nil {
				return err
			}
			if s.hide != "" {
				hidden, err := security.ParseHidden(s.hide)
				if err != nil {
					return cli.Usage("--hide: %v", err)
				}
				p.Trust.Hide = hidden
			}
			p.LogTo(slog.LevelInfo)
			if err := s.verifyTokens(p); err != nil {
				return err
			}
			if s.policy != "" {
				p.Trust.Policy = &trust.Policy{File: s.policy}
			}
			return p.WithTransport(func(t *oslorpc.Transport) error { return s.serve(cmd.Context(), p, t) }, s.options()...)
		},
	}
	s.addFlags(cmd)
	return cmd
}

func (s *serving) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&s.target.Topic, "topic", "", "`topic` to serve (required)")
	flags.StringVar(&s.target.Server, "server", "", "`name` of the server; several may share one (default: the host's)")
	flags.StringVar(&s.target.Exchange, "exchange", "", "`exchange` of the topic (default: $"+oslorpc.ExchangeVariable+", else openstack)")
	flags.StringVar(&s.target.Namespace, "namespace", "", "`namespace` of the methods, if not the default one")
	flags.StringVar(&s.target.Version, "rpc-version", "", "`version` of the methods, as 1.4 (default 1.0)")
	flags.StringSliceVar(&s.deprecated, "deprecated", nil, "`methods` to mark as deprecated since the served version")
	flags.StringVar(&s.listen, "listen", "", "`address` to listen on: host:port, host:first-last or unix:/path; port 0 is any (default: a socket with local://, else 127.0.0.1:0)")
	flags.StringVar(&s.advertise, "advertise", "", "`host:port` that others connect to, if it differs from the address to listen on")
	flags.StringVar(&s.policy, "policy", "", "`file` that says which callers may send what; see oslorpc policy (default: $"+trust.PolicyVariable+")")
	flags.StringVar(&s.hide, "hide", "", "`names` of what callers are not told, with commas: failures, introspection, reflection (default: $"+trust.HideVariable+")")
	s.addTokenFlags(flags)
	flags.BoolVarP(&s.quiet, "quiet", "q", false, "print no line for each message")
	flags.BoolVar(&s.untilInputEnd, "until-input-ends", false, "stop also when standard input ends; for programs that start servers")
}

// options returns the options for the transport.
func (s *serving) options() []oslorpc.TransportOption {
	return []oslorpc.TransportOption{oslorpc.WithListen(s.listen), oslorpc.WithAdvertise(s.advertise)}
}

// complete checks the flags and adds defaults.
func (s *serving) complete() error {
	if s.target.Topic == "" {
		return cli.Usage("serve needs --topic")
	}
	host, err := os.Hostname()
	if err != nil && s.target.Server == "" {
		return cli.Usage("the host has no name: name the server with --server")
	}
	s.target.Server = cmp.Or(s.target.Server, host)
	return nil
}

func (s *serving) serve(ctx context.Context, p *cli.Program, t *oslorpc.Transport) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, cli.EndSignals...)
	defer signal.Stop(signals)

	j := &journal{program: p, quiet: s.quiet}
	server := t.Server(oslorpc.Target{Exchange: s.target.Exchange, Topic: s.target.Topic, Server: s.target.Server})
	offered := methods(s.target.Server, j)
	if err := s.deprecate(offered); err != nil {
		return err
	}
	server.Add(oslorpc.Endpoint{Namespace: s.target.Namespace, Version: s.target.Version, Methods: offered})
	if err := server.Start(ctx); err != nil {
		return err
	}
	instance, _ := server.Instance() // it was started, and nothing else stops it
	j.ready(instance)
	select {
	case <-signals:
	case <-s.inputEnd(p.In):
	}
	j.stopping()
	return cli.Stop(ctx, server, signals)
}

// deprecate marks the methods that the flags name.
func (s *serving) deprecate(methods map[string]oslorpc.Method) error {
	for _, name := range s.deprecated {
		m, is := methods[name]
		if !is {
			return cli.Usage("--deprecated: there is no method %q", name)
		}
		methods[name] = m.Deprecated(cmp.Or(s.target.Version, rpc.DefaultVersion.String()))
	}
	return nil
}

// inputEnd returns a channel that is closed at the end of standard input. Without the flag it
// returns nil, which is never ready.
func (s *serving) inputEnd(in io.Reader) <-chan struct{} {
	if !s.untilInputEnd {
		return nil
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, in) // an error is an end, too
	}()
	return ended
}
