package demo

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/child"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// These are the names in the certificates of the secure demo.
const (
	identityTemplate = "spiffe://demo.example/topic/{topic}/server/{server}"
	alice            = "spiffe://demo.example/teller/alice"
	impostor         = "printer-17"
)

var nodes = []string{"node1", "node2", "node3"}

const (
	policyFile = "policy.yaml"
	dryRunMode = "dry-run"
	policyText = `mode: dry-run
rules:
  - name: tellers
    from: spiffe://demo.example/teller/*
    topic: payments
    method: [whoami, echo]
`
)

// denied is the exit code of a command whose call a policy denies.
var denied = cli.ExitCode(&oslorpc.Error{Kind: oslorpc.AccessDenied})

// secured is a stage with certificates.
type secured struct {
	*stage

	authority *authority
}

// runSecure shows a fleet with certificates and a policy.
func (s *stage) runSecure(ctx context.Context) error {
	a, err := newAuthority()
	if err != nil {
		return err
	}
	f := &secured{stage: s, authority: a}
	err = inTurn(ctx, f.showCertificates, f.showFleet, f.showDryRun, f.showDenial, f.showRotation, f.showImpostor)
	if err != nil {
		return err
	}
	s.heading("Now with your own hosts: docs/secure-a-fleet.md")
	return nil
}

// identities returns the name in the certificate of each program, by the name of its files.
func identities() map[string]string {
	all := map[string]string{"alice": alice, impostor: identityOf("printers", impostor)}
	for _, node := range nodes {
		all[node] = identityOf("payments", node)
	}
	return all
}

func identityOf(topic, server string) string {
	return strings.NewReplacer("{topic}", topic, "{server}", server).Replace(identityTemplate)
}

func (f *secured) showCertificates(context.Context) error {
	f.heading("One authority, and a certificate for each program: its URI says which server it is")
	f.sayf("$ cd %s", f.dir)
	if err := replace(f.dir, "ca.pem", f.authority.pem()); err != nil {
		return err
	}
	all := identities()
	for _, name := range append([]string{"alice", impostor}, nodes...) {
		if _, err := f.authority.issue(f.dir, name, all[name]); err != nil {
			return err
		}
		f.sayf("%-14s  %s", name+".pem", all[name])
	}
	f.heading("Clients send only to a server that proves to be the one they mean")
	f.environment = []string{
		trust.CAVariable + "=ca.pem", trust.CertVariable + "=alice.pem", trust.KeyVariable + "=alice.key",
		trust.IdentityVariable + "=" + identityTemplate,
	}
	f.sayf("$ export %s", strings.Join(f.environment[:3], " "))
	f.sayf("$ export %s='%s'", trust.IdentityVariable, identityTemplate)
	return nil
}

func (f *secured) showFleet(ctx context.Context) error {
	f.heading("A policy says which callers may send what. At first it is a dry run")
	if err := replace(f.dir, policyFile, []byte(policyText)); err != nil {
		return err
	}
	f.sayf("$ cat %s\n%s", policyFile, strings.TrimSuffix(policyText, "\n"))
	for _, node := range nodes {
		if err := f.start(ctx, node, f.serve(node, node, "--policy", policyFile)...); err != nil {
			return err
		}
	}
	return f.show(ctx, "call", "payments", "whoami", "-n", "3")
}

// serve returns a command for a server that has the certificate of a program.
func (f *secured) serve(server, program string, more ...string) []string {
	return append([]string{"serve", "--topic", "payments", "--server", server, "--cert", program + ".pem", "--key", program + ".key"}, more...)
}

func (f *secured) showDryRun(ctx context.Context) error {
	f.heading("No rule allows alice to add. The dry run lets it pass, and says so in the log of the server")
	place := f.output.End()
	if err := f.show(ctx, "call", "payments", "add", "a:=19", "b:=23"); err != nil {
		return err
	}
	return f.showAudit(ctx, place)
}

// brief matches the attributes of the audit log that the demo shows.
var brief = regexp.MustCompile(`audit\.(?:verdict|identity|topic|method)=("[^"]*"|\S+)`)

// showAudit prints the first line of a server's audit log after a place in the transcript.
func (f *secured) showAudit(ctx context.Context, place int) error {
	found, err := f.output.Find(ctx, place, 1, func(l child.Line) bool { return strings.Contains(l.Text, "audit.verdict=") })
	if err != nil {
		return err
	}
	f.sayf("%s logs: %s …", found[0].By, strings.Join(brief.FindAllString(found[0].Text, -1), " "))
	return nil
}

func (f *secured) showDenial(ctx context.Context) error {
	f.heading("The policy is enforced as soon as its file says so. Other calls go on")
	place := f.output.End()
	if err := replace(f.dir, policyFile, []byte(strings.Replace(policyText, dryRunMode, "enforce", 1))); err != nil {
		return err
	}
	f.sayf("$ sed -i s/%s/enforce/ %s", dryRunMode, policyFile)
	_, err := f.output.Find(ctx, place, len(nodes), func(l child.Line) bool { return strings.Contains(l.Text, "policy read") })
	if err != nil {
		return err
	}
	place = f.output.End()
	if err := f.showFailing(ctx, denied, "call", "payments", "add", "a:=19", "b:=23"); err != nil {
		return err
	}
	if err := f.showAudit(ctx, place); err != nil {
		return err
	}
	if err := f.show(ctx, "call", "payments", "echo", "text=hello"); err != nil {
		return err
	}
	f.heading("Callers do not learn why. The operator does, from the policy")
	return f.showFailing(ctx, cli.ExitUnexpected, "policy", "check", policyFile, "--from", alice, "--topic", "payments", "--method", "add")
}

func (f *secured) showImpostor(ctx context.Context) error {
	f.heading("An impostor: a printer server announces itself as node2. Its certificate is a valid one, for a printer")
	if err := f.start(ctx, impostor, f.serve("node2", impostor)...); err != nil {
		return err
	}
	if err := errors.Join(f.show(ctx, "ls", "payments"), f.show(ctx, "call", "payments", "whoami", "--server", "node2", "-n", "4")); err != nil {
		return err
	}
	f.heading("It gets no message, also when it is the only node2")
	f.kill("node2")
	if err := f.showFailing(ctx, cli.ExitNotDelivered, "call", "payments", "whoami", "--server", "node2", "--timeout", "5s"); err != nil {
		return err
	}
	if err := f.show(ctx, "call", "payments", "whoami", "-n", "4"); err != nil {
		return err
	}
	ran := 0
	for _, l := range f.output.Lines() {
		if l.By == impostor && strings.Contains(l.Text, " -> ") {
			ran++
		}
	}
	f.sayf("# the impostor ran %d messages", ran)
	if ran > 0 {
		return fmt.Errorf("the impostor ran %d messages: please report this, with the output of the demo", ran)
	}
	return nil
}
