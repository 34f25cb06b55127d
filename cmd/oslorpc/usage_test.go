package main

import (
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func TestWrongUsages(t *testing.T) {
	t.Setenv(oslorpc.TransportURLVariable, "local://"+t.TempDir()+"/registry")
	for _, test := range []struct{ line, want string }{
		{"cal", `there is no command "cal"; did you mean call? See oslorpc --help`},
		{"frobnicate", `there is no command "frobnicate"; see oslorpc --help`},
		{"--nope", "unknown flag: --nope; see oslorpc --help"},
		{"call", "call needs TOPIC and METHOD; see oslorpc call --help"},
		{"call t", "call needs TOPIC and METHOD"},
		{"call t m --pool=ssd", "unknown flag: --pool; an argument of the method has no dashes: write pool=text; see oslorpc call --help"},
		{"call t m --pool ssd", "unknown flag: --pool; an argument of the method has no dashes: write pool=text; see oslorpc call --help"},
		{"cast t m -pool=ssd", "unknown shorthand flag: 'p' in -pool=ssd; an argument of the method has no dash: write pool=ssd; see oslorpc cast --help"},
		{"call t m --tiemout 5s", "unknown flag: --tiemout; did you mean --timeout? See oslorpc call --help"},
		{"ls --nope", "unknown flag: --nope; see oslorpc ls --help"},
		{"ls --url local://", "unknown flag: --url; did you mean --transport? See oslorpc ls --help"},
		{"call t m --version 1.1", "unknown flag: --version; did you mean --rpc-version? See oslorpc call --help"},
		{"serve --port 7001", "unknown flag: --port; did you mean --listen? See oslorpc serve --help"},
		{"call t m --port 22", "unknown flag: --port; an argument of the method has no dashes: write port=text; see oslorpc call --help"},
		{"call t m a", "write key=text"},
		{"call t m a=1 a=2", "given twice"},
		{"call t m a:=x", "for text, write a=x"},
		{"call t m -", "no JSON object"},
		{"call t m -n 0", "-n is 0"},
		{"call t m -n x", `--repeat "x" is not valid: it takes a whole number`},
		{"call t m --timeout 5", "--timeout 5 needs a unit: write 5s"},
		{"call t m --timeout -5s", "above zero"},
		{"ping t --timeout 0s", "above zero"},
		{"ls --timeout x", "write a number and a unit"},
		{"call t m --context x", "--context: "},
		{"call t m --rpc-version 1", "invalid target"},
		{"call t m --output xml", "write text or json"},
		{"call t m --transport nope", "has no scheme"},
		{"call t m --transport nope://", "unknown scheme"},
		{"call t m --transport local://relative", "three slashes"},
		{"fanout t m --server s", "unknown flag: --server"},
		{"ls t u", `ls does not take "u"; it takes at most a TOPIC; see oslorpc ls --help`},
		{"ping", "ping needs a TOPIC"},
		{"ping t u", "ping does not take"},
		{"info", "info needs a TOPIC"},
		{"watch t u", "watch does not take"},
		{"versions", "versions needs a TOPIC; see oslorpc versions --help"},
		{"versions why", "why needs a TOPIC; see oslorpc versions why --help"},
		{"versions why t --target-version 1", "--target-version: version"},
		{"versions t u", "versions does not take"},
		{"deprecations", "deprecations needs a TOPIC"},
		{"serve --topic t --deprecated nope", `--deprecated: there is no method "nope"`},
		{"version x", "version does not take"},
		{"demo x", "demo does not take"},
		{"demo --transport local://", "leave --transport out"},
		{"serve", "serve needs --topic"},
		{"serve x", "serve does not take"},
		{"serve --topic t --listen x", "write \"host:port\""},
		{"serve --topic t --listen 127.0.0.1:9-1", "is malformed"},
		{"serve --topic t --listen 0.0.0.0:0", "--insecure if you mean it"},
		{"serve --topic t --listen 0.0.0.0:0 --insecure", "use --advertise"},
		{"serve --topic t --rpc-version one", "major.minor"},
		{"completion bash x", "unknown command"},
	} {
		t.Run(test.line, func(t *testing.T) {
			r := runWith("", strings.Fields(test.line)...)
			wantCode(t, r, cli.ExitUsage)
			if !strings.HasPrefix(r.errs, "oslorpc: ") || !strings.Contains(r.errs, test.want) || r.out != "" {
				t.Errorf("want only an error with %q, got %q and %q", test.want, r.errs, r.out)
			}
			r = runWith("", append([]string{"--output", "json"}, strings.Fields(test.line)...)...)
			if strings.Contains(test.line, "--output") {
				return
			}
			wantCode(t, r, cli.ExitUsage)
			if f := parse[cli.Failure](t, r.errs); f.ExitCode != cli.ExitUsage || !f.SafeToRetry {
				t.Errorf("got %+v", f)
			}
		})
	}
}

func TestHelps(t *testing.T) {
	t.Parallel()
	root := rootCommand(&cli.Program{})
	for _, cmd := range root.Commands() {
		t.Run(cmd.Name(), func(t *testing.T) {
			r := runWith("", cmd.Name(), "--help")
			wantCode(t, r, 0)
			for _, want := range []string{"Examples:\n  oslorpc " + cmd.Name(), "Usage:\n  oslorpc " + cmd.Name(), "--transport"} {
				if !strings.Contains(r.out, want) {
					t.Errorf("it lacks %q:\n%s", want, r.out)
				}
			}
			for line := range strings.SplitSeq(cmd.Long, "\n") {
				if len([]rune(line)) > 120 {
					t.Errorf("a long line: %s", line)
				}
			}
		})
	}
	bare, help := runWith(""), runWith("", "--help")
	if bare != help || bare.code != 0 || !strings.Contains(bare.out, "Usage:\n  oslorpc [command]\n") {
		t.Errorf("without a command it prints %+v", bare)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	text, flag, document := runWith("", "version"), runWith("", "--version"), runWith("", "version", "--output", "json")
	if text != flag || text.code != 0 || !strings.HasPrefix(text.out, "oslorpc ") || len(text.lines()) != 1 {
		t.Errorf("got %+v and %+v", text, flag)
	}
	if b := parse[buildDocument](t, document.out); b != build() {
		t.Errorf("got %+v", b)
	}
}

func TestCompletionScripts(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		r := runWith("", "completion", shell)
		if r.code != 0 || !strings.Contains(r.out, "oslorpc") {
			t.Errorf("%s: got %+v", shell, r)
		}
	}
}
