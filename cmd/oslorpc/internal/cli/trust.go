package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
	_ "github.com/oslorpc/oslorpc/pkg/trust/workload" // for --workload-api, and what else names its address
)

// offline marks commands that connect to no other program, in their annotations.
const offline = "offline"

// Offline marks a command that connects to no program, so that flags for connections, such as --ca,
// are errors. Why is the reason in the error: it follows "--ca has no effect: ".
func Offline(cmd *cobra.Command, why string) *cobra.Command {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[offline] = why
	return cmd
}

// trustFlags are the flags for connections, with the field of the configuration that each sets.
var trustFlags = []struct {
	name, field, usage string
	value              func(*trust.Config) *string
}{
	{
		"ca", "trust.Config.CA", "PEM `file` with the authorities to trust; connections use TLS (default: $" + trust.CAVariable + ")",
		func(c *trust.Config) *string { return &c.CA },
	},
	{
		"cert", "trust.Config.Cert", "PEM `file` with the certificate of this program (default: $" + trust.CertVariable + ")",
		func(c *trust.Config) *string { return &c.Cert },
	},
	{
		"key", "trust.Config.Key", "PEM `file` with the private key of --cert (default: $" + trust.KeyVariable + ")",
		func(c *trust.Config) *string { return &c.Key },
	},
	{
		"workload-api", "trust.Config.WorkloadAPI",
		"`address` of a SPIFFE Workload API, in place of --ca, --cert and --key; auto means $SPIFFE_ENDPOINT_SOCKET (default: $" + trust.WorkloadAPIVariable + ")",
		func(c *trust.Config) *string { return &c.WorkloadAPI },
	},
	{
		"server-name", "trust.Config.ServerName",
		"`name` that certificates of servers must have, in place of their host (default: $" + trust.ServerNameVariable + ")",
		func(c *trust.Config) *string { return &c.ServerName },
	},
	{
		"identity", "trust.Config.Identity",
		"`template` of the name that the certificate of the server meant must have (default: $" + trust.IdentityVariable + ")",
		func(c *trust.Config) *string { return &c.Identity },
	},
	{
		"token-file", "trust.Config.TokenFile", "`file` with a bearer token to send (default: $" + trust.TokenFileVariable + ")",
		func(c *trust.Config) *string { return &c.TokenFile },
	},
}

const insecureFlag = "insecure"

// addTrust adds the flags for connections.
func (p *Program) addTrust(flags *pflag.FlagSet) {
	for _, f := range trustFlags {
		flags.StringVar(f.value(&p.Trust), f.name, "", f.usage)
	}
	flags.BoolVar(&p.Trust.Plaintext, insecureFlag, false,
		"allow connections without TLS to and from other machines, which can read and send anything (default: $"+trust.InsecureVariable+")")
}

// checkTrust returns an error if the command line has flags for connections that have no effect.
func (p *Program) checkTrust(cmd *cobra.Command) error {
	for _, name := range append(trustNames(), insecureFlag) {
		if why := cmd.Annotations[offline]; why != "" && cmd.Flags().Changed(name) {
			return Usage("--%s has no effect: %s", name, why)
		}
	}
	for _, f := range trustFlags {
		if cmd.Flags().Changed(f.name) && *f.value(&p.Trust) == "" {
			return Usage("--%s is empty: leave it out, or give it a value", f.name)
		}
	}
	if p.Trust.Plaintext && (p.Trust.CA != "" || p.Trust.Cert != "" || p.Trust.WorkloadAPI != "") {
		return Usage("--insecure is for connections without TLS, and --ca, --cert and --workload-api are for TLS: leave one of them out")
	}
	return nil
}

func trustNames() []string {
	names := make([]string, len(trustFlags))
	for i, f := range trustFlags {
		names[i] = f.name
	}
	return names
}

// flagNames replaces the names of the library's options in error texts with the flags that set
// them.
var flagNames = func() *strings.Replacer {
	pairs := []string{
		"use WithTrust with CA, Cert and Key, or with Plaintext if you mean it", "use --ca, --cert and --key, or --insecure if you mean it",
		"use WithTrust with CA, or with Plaintext if you mean it", "use --ca, or --insecure if you mean it",
		"use WithAdvertise", "use --advertise", "WithAdvertise", "--advertise",
	}
	for _, f := range trustFlags {
		if f.name != "ca" { // after the names that begin like it
			pairs = append(pairs, f.field, "--"+f.name)
		}
	}
	return strings.NewReplacer(append(pairs, "trust.Config.CA", "--ca")...)
}()

// asFlags returns an error whose text names flags in place of the library's options.
func asFlags(err error) error {
	e, ok := err.(*oslorpc.Error) //nolint:errorlint // A wrapping error has a text of its own.
	if !ok {
		return err
	}
	message := flagNames.Replace(e.Message)
	if message == e.Message {
		return err
	}
	named := *e
	named.Message = message
	return &named
}
