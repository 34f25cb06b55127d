package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/access"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/consulacl"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/demo"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/gateway"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/look"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/send"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/serve"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/upgrades"
)

const rootLong = `oslorpc sends messages to fleets of servers, as oslo.messaging does, over gRPC and without a broker.

A message goes to a TOPIC: to any server on it (call, cast, multicall), to the server named with --server, or to every
server (fanout). The transport URL selects discovery:

  local://                    the programs of one user on one machine; needs no daemon
  local:///dir                the same, through this directory
  consul://host:8500          through the Consul agent there
  gateway://host:8600         through the gateway there
  static://topic=host:port,…  at fixed addresses`

const rootExample = `  oslorpc demo                                    # watch a fleet of three servers answer
  oslorpc serve --topic demo --server node1       # a server; start more in other terminals
  oslorpc ls                                      # the servers
  oslorpc call demo add a:=19 b:=23               # any server answers
  oslorpc call demo whoami --server node1         # this one does
  oslorpc fanout demo echo text=hello             # each runs it`

func rootCommand(p *cli.Program) *cobra.Command {
	root := &cobra.Command{
		Use:   "oslorpc",
		Short: "RPC with the semantics of oslo.messaging, without a broker",
		Long:  rootLong, Example: rootExample, Version: build().String(),
		SilenceUsage: true, SilenceErrors: true, DisableFlagsInUseLine: true,
		Args: cli.UnknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	p.AddTo(root)
	root.SetVersionTemplate("oslorpc {{.Version}}\n")
	// The root command can run, so that it can refuse unknown commands. Its usage does not show
	// that.
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), "{{if .Runnable}}", "{{if and .Runnable .HasParent}}", 1))
	root.SetHelpTemplate(root.HelpTemplate() + "{{if not .HasParent}}\n" + cli.ExitHelp() + "{{end}}")
	addGroup(root, "Try it out:", demo.Command(p), serve.Command(p))
	addGroup(root, "Send messages:", send.Commands(p)...)
	addGroup(root, "Look at a fleet:", look.Commands(p)...)
	addGroup(root, "Upgrade a fleet:", upgrades.Commands(p)...)
	addGroup(root, "Connect to a fleet:", gateway.Command(p))
	addGroup(root, "Protect a fleet:", access.Command(p), consulacl.Command(p))
	root.AddCommand(versionCommand(p))
	return root
}

// addGroup adds commands that the help lists together.
func addGroup(root *cobra.Command, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: title, Title: title})
	for _, cmd := range commands {
		cmd.GroupID = title
		root.AddCommand(cmd)
	}
}
