// Package gateway has the command that runs a gateway.
package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/internal/gateway"
	"github.com/oslorpc/oslorpc/internal/gateway/httpfront"
	"github.com/oslorpc/oslorpc/internal/security"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

const long = `Run a gateway, until SIGINT or SIGTERM: one address for the whole fleet. A message that comes to it goes to a
server that its target means. So a program that has only a plain gRPC stub, or that cannot reach discovery,
reaches every topic.

A gateway keeps nothing whose loss matters: run several, and give clients the addresses of all.

It registers itself on the topic "gateway". The policy says which callers may send what, as at a server.

The first signal withdraws the gateway and sends its clients to others; it answers what it has and refuses the
rest. The second signal ends it at once.`

// serving has the flags of the command.
type serving struct {
	server    string
	listen    string
	advertise string
	policy    string
	hide      string
	attach    bool
	http      string
	origins   []string
	hosts     []string
	gateway   *gateway.Gateway
}

// Command returns the command.
func Command(p *cli.Program) *cobra.Command {
	s := &serving{gateway: gateway.New()}
	cmd := &cobra.Command{
		Use:   "gateway --listen ADDRESS",
		Short: "Run a gateway: one address for a fleet",
		Long:  long,
		Example: `  oslorpc gateway --listen 127.0.0.1:8600
  oslorpc gateway --transport consul://127.0.0.1:8500 --listen 0.0.0.0:8600 --advertise gw1.example:8600 --ca ca.pem --cert gw1.pem --key gw1.key
  oslorpc gateway --listen 127.0.0.1:8600 --http 127.0.0.1:8080
  grpcurl -plaintext -d '{"message": {"target": {"topic": "demo"}, "method": "whoami"}}' 127.0.0.1:8600 oslorpc.v1.RPCService/Call`,
		DisableFlagsInUseLine: true,
		Args:                  p.Takes(0, 0, "no arguments, but --listen"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.complete(p); err != nil {
				return err
			}
			p.LogTo(slog.LevelInfo)
			s.gateway.OwnProcess()
			if s.attach {
				s.gateway.TakeServers()
			}
			options := []oslorpc.TransportOption{
				asGateway{oslorpc.WithListen(s.listen), s.gateway}, oslorpc.WithAdvertise(s.advertise),
			}
			return p.WithTransport(func(t *oslorpc.Transport) error { return s.serve(cmd.Context(), p, t) }, options...)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&s.listen, "listen", "", "`address` to listen on: host:port, host:first-last or unix:/path (required)")
	flags.StringVar(&s.advertise, "advertise", "", "`host:port` that others connect to, if it differs from the address to listen on")
	flags.StringVar(&s.server, "server", "", "`name` of the gateway (default: the host's)")
	flags.BoolVar(&s.attach, "attach", false, "take servers that cannot be dialled, and attach themselves with gateway://")
	flags.StringVar(&s.policy, "policy", "", "`file` that says which callers may send what; see oslorpc policy (default: $"+trust.PolicyVariable+")")
	flags.StringVar(&s.hide, "hide", "", "`names` of what callers are not told, with commas: failures, introspection, reflection (default: $"+trust.HideVariable+")")
	flags.StringVar(&s.http, "http", "", "`host:port` to offer the same over HTTP, as JSON, for curl and browsers")
	flags.StringSliceVar(&s.origins, "cors-origin", nil, "`origin` whose pages may use --http from browsers, such as https://console.example; may be repeated")
	flags.StringSliceVar(&s.hosts, "http-host", nil, "`name` besides localhost under which --http on this machine is reached; may be repeated")
	return cmd
}

// asGateway is a transport option that makes the process a gateway.
type asGateway struct {
	oslorpc.TransportOption

	gateway *gateway.Gateway
}

// Gateway implements [gateway.Option].
func (a asGateway) Gateway() *gateway.Gateway { return a.gateway }

// complete checks the flags and adds defaults.
func (s *serving) complete(p *cli.Program) error {
	if s.listen == "" {
		return cli.Usage("gateway needs --listen: clients are given its address")
	}
	host, err := os.Hostname()
	if err != nil && s.server == "" {
		return cli.Usage("the host has no name: name the gateway with --server")
	}
	s.server = cmp.Or(s.server, host)
	if s.hide != "" {
		hidden, err := security.ParseHidden(s.hide)
		if err != nil {
			return cli.Usage("--hide: %v", err)
		}
		p.Trust.Hide = hidden
	}
	if s.http == "" && len(s.origins)+len(s.hosts) > 0 {
		return cli.Usage("--cors-origin and --http-host say how --http is used, which is missing")
	}
	if s.policy != "" {
		p.Trust.Policy = &trust.Policy{File: s.policy}
	}
	return nil
}

func (s *serving) serve(ctx context.Context, p *cli.Program, t *oslorpc.Transport) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, cli.EndSignals...)
	defer signal.Stop(signals)

	server := t.Server(oslorpc.Target{Topic: gateway.Topic, Server: s.server})
	if err := server.Start(ctx); err != nil {
		return err
	}
	front, err := s.serveHTTP(ctx)
	if err != nil {
		if stopped := server.Stop(ctx); stopped != nil {
			return errors.Join(err, stopped)
		}
		return err
	}
	instance, _ := server.Instance() // it was started, and nothing else stops it
	ready(p, instance, front)
	<-signals
	if !p.JSON() {
		fmt.Fprintln(p.Errs, "stopping; another signal ends the gateway at once")
	}
	if front == nil {
		return cli.Stop(ctx, server, signals)
	}
	front.Leave()
	stopped := cli.Stop(ctx, server, signals)
	ctx, cancel := context.WithTimeout(ctx, httpTime)
	defer cancel()
	return errors.Join(stopped, front.Shutdown(ctx))
}

// httpTime bounds how long a stopping gateway waits until the last HTTP responses are sent.
const httpTime = 2 * time.Second

// serveHTTP serves the fleet over HTTP. It returns nil if that is not requested.
func (s *serving) serveHTTP(ctx context.Context) (*gateway.HTTP, error) {
	if s.http == "" {
		return nil, nil //nolint:nilnil // There is none, and that is no error.
	}
	return s.gateway.ServeHTTP(ctx, s.http, httpfront.Config{Origins: s.origins, Hosts: s.hosts, Log: slog.Default()})
}

// ready prints that the gateway is ready.
func ready(p *cli.Program, i rpc.Instance, front *gateway.HTTP) {
	if front != nil {
		fmt.Fprintf(p.Out, "gateway %q is ready at %s, and at %s for HTTP\n", i.Server, i.Addr, front.Addr)
		return
	}
	fmt.Fprintf(p.Out, "gateway %q is ready at %s\n", i.Server, i.Addr)
}
