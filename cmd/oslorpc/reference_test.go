package main

import (
	"bytes"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
)

const reference = "../../docs/commands.md"

var update = flag.Bool("update", false, "write docs/commands.md")

const introduction = `# Commands

The help of every command, as ` + "`oslorpc COMMAND --help`" + ` prints it. ` +
	"[command-line.md](command-line.md)" + `
shows a session. This page is generated: ` + "`go test ./cmd/oslorpc -run TestReference -update`" + `.
`

// docs/commands.md contains the help of every command.
func TestReference(t *testing.T) {
	t.Setenv("HOME", "/nonexistent")
	var page strings.Builder
	page.WriteString(introduction)
	for _, words := range commands(rootCommand(&cli.Program{}), nil) {
		var out, errs bytes.Buffer
		if code := run(append(words, "--help"), strings.NewReader(""), &out, &errs); code != 0 {
			t.Fatalf("%v --help: %d, %s", words, code, &errs)
		}
		help := out.String()
		if len(words) > 0 { // the flags of all commands are at the root
			help, _, _ = strings.Cut(help, "\nGlobal Flags:")
		}
		title := strings.Join(append([]string{"oslorpc"}, words...), " ")
		page.WriteString("\n## " + title + "\n\n```text\n" + strings.TrimSpace(help) + "\n```\n")
	}
	if *update {
		if err := os.WriteFile(reference, []byte(page.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != page.String() {
		t.Errorf("%s is out of date: go test ./cmd/oslorpc -run TestReference -update", reference)
	}
}

// commands lists a command and all visible commands below it, each by its words.
func commands(c *cobra.Command, words []string) [][]string {
	all := [][]string{words}
	for _, sub := range c.Commands() {
		if sub.Hidden || sub.Name() == "help" || sub.Name() == "completion" {
			continue
		}
		all = append(all, commands(sub, slices.Concat(words, []string{sub.Name()}))...)
	}
	return all
}
