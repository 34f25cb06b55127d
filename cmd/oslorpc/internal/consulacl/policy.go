// Package consulacl has the commands for operators of Consul.
package consulacl

import (
	"cmp"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/internal/discovery/consul"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

const offline = "consul commands connect to no program"

// Command returns the command with the commands beneath it.
func Command(p *cli.Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:                   "consul",
		Short:                 "Print the ACL policies that programs need in Consul",
		Long:                  "Print the ACL policies that programs need in Consul. The commands ask neither Consul nor a server.",
		Example:               "  oslorpc consul policy --serve conductor --call compute",
		DisableFlagsInUseLine: true,
		Args:                  cli.UnknownCommand,
		RunE:                  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(policyCommand(p))
	return cmd
}

// program has the flags that describe a program.
type program struct {
	exchange    string
	serve, call []string
}

func policyCommand(p *cli.Program) *cobra.Command {
	f := &program{}
	cmd := &cobra.Command{
		Use:   "policy --serve TOPIC --call TOPIC",
		Short: "Print the least ACL policy of a program",
		Long: `Print the least ACL policy of a program that serves topics, calls topics, or both: the names of their services, some of
which have a hash. Each flag can be given several times. For topics of several exchanges, put the policies together.`,
		Example: `  oslorpc consul policy --serve conductor --call compute,scheduler --exchange nova
  oslorpc consul policy --serve demo | consul acl policy create -name demo -rules -`,
		DisableFlagsInUseLine: true,
		Args:                  p.Takes(0, 0, "no arguments, but --serve and --call"),
		RunE:                  func(*cobra.Command, []string) error { return f.print(p) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.serve, "serve", nil, "`topics` that the program serves")
	flags.StringSliceVar(&f.call, "call", nil, "`topics` that the program sends messages to")
	flags.StringVar(&f.exchange, "exchange", "", "`exchange` of the topics (default: $"+oslorpc.ExchangeVariable+", else openstack)")
	return cli.Offline(cmd, offline)
}

// Document is the output as JSON.
type Document struct {
	// Services are the rules for services.
	Services []consul.Rule `json:"services"`
	// Policy is the policy in HCL.
	Policy string `json:"policy"`
}

func (f *program) print(p *cli.Program) error {
	if len(f.serve)+len(f.call) == 0 {
		return cli.Usage("consul policy needs --serve, --call or both")
	}
	exchange := cmp.Or(f.exchange, os.Getenv(oslorpc.ExchangeVariable), rpc.DefaultExchange)
	topics := func(names []string) (list []registry.Topic, err error) {
		for _, name := range names {
			if err := (rpc.Target{Exchange: exchange, Topic: name}).ValidateClient(); err != nil {
				return nil, err
			}
			list = append(list, registry.Topic{Exchange: exchange, Name: name})
		}
		return list, nil
	}
	serve, err := topics(f.serve)
	if err != nil {
		return err
	}
	call, err := topics(f.call)
	if err != nil {
		return err
	}
	rules := consul.Rules(serve, call)
	d := Document{rules, consul.Policy(rules)}
	if p.JSON() {
		return cli.WriteJSON(p.Out, &d)
	}
	_, err = fmt.Fprint(p.Out, d.Policy)
	return err
}
