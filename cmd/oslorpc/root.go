package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

const rootLong = `oslorpc sends messages to fleets of servers, as oslo.messaging does, over gRPC and without a broker.

A message goes to a TOPIC: to any server on it (call, cast, multicall), to the one named with --server, or to every
one (fanout). The transport URL selects discovery:

  local://                    the programs of one user on one machine; needs no daemon
  local:///dir                the same, by way of this directory
  consul://host:8500          by way of the Consul agent there
  static://topic=host:port,…  at fixed addresses`

const rootExample = `  oslorpc demo                                    # watch a fleet of three servers answer
  oslorpc serve --topic demo --server node1       # a server; start more in other terminals
  oslorpc ls                                      # the servers
  oslorpc call demo add a:=19 b:=23               # any server answers
  oslorpc call demo whoami --server node1         # this one does
  oslorpc fanout demo echo text=hello             # each runs it`

func (p *program) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "oslorpc",
		Short: "RPC with the semantics of oslo.messaging, without a broker",
		Long:  rootLong, Example: rootExample, Version: build().String(),
		SilenceUsage: true, SilenceErrors: true, DisableFlagsInUseLine: true,
		Args:              unknownCommand,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: p.start,
	}
	root.SetIn(p.in)
	root.SetOut(p.out)
	root.SetErr(p.errs)
	root.SetVersionTemplate("oslorpc {{.Version}}\n")
	// The root can be run, to refuse what is no command, but that is not how it is used.
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), "{{if .Runnable}}", "{{if and .Runnable .HasParent}}", 1))
	root.SetHelpTemplate(root.HelpTemplate() + "{{if not .HasParent}}\n" + exitHelp() + "{{end}}")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		p.command = cmd
		return err
	})
	flags := root.PersistentFlags()
	flags.StringVar(&p.transport, "transport", "", "transport `URL` (default: $"+oslorpc.TransportURLVariable+", else local://)")
	flags.StringVar(&p.output, "output", textForm, "`form` of the output: text, or json, each document on one line")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(forms, cobra.ShellCompDirectiveNoFileComp))
	addGroup(root, "Try it out:", p.demoCommand(), p.serveCommand())
	addGroup(root, "Send messages:", p.callCommand(), p.castCommand(), p.fanoutCommand(), p.multicallCommand())
	addGroup(root, "Look at a fleet:", p.lsCommand(), p.pingCommand(), p.infoCommand(), p.watchCommand())
	addGroup(root, "Upgrade a fleet:", p.versionsCommand(), p.upgradeCommand(), p.deprecationsCommand())
	root.AddCommand(p.versionCommand())
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

// unknownCommand refuses the arguments of a command that only has others beneath it: they are no command's name.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	name := strings.TrimPrefix(cmd.CommandPath()+" "+args[0], cmd.Root().Name()+" ")
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		return usage("there is no command %q; did you mean %s?", name, strings.Join(similar, " or "))
	}
	return usage("there is no command %q", name)
}

// takes checks the number of arguments; words names those that are wanted, such as "TOPIC [METHOD]".
func (p *program) takes(atLeast, atMost int, words string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		p.command = cmd
		switch {
		case len(args) < atLeast:
			return usage("%s needs %s", cmd.Name(), words)
		case atMost >= 0 && len(args) > atMost:
			return usage("%s does not take %q; it takes %s", cmd.Name(), args[atMost], words)
		}
		return nil
	}
}
