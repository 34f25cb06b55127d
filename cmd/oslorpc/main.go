// Command oslorpc sends messages, inspects fleets, checks upgrades and policies, and runs gateways
// and demo servers.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"

	"google.golang.org/grpc/grpclog"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
)

func main() {
	grpclog.SetLoggerV2(grpcLog(os.Getenv("GRPC_GO_LOG_SEVERITY_LEVEL"), cli.Terminal(os.Stderr)))
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// grpcLog returns gRPC's log of a minimum severity, which is written to errs. Without a severity it
// is silent, because programs read our errors from errs.
func grpcLog(severity string, errs io.Writer) grpclog.LoggerV2 {
	writers := map[string]io.Writer{"info": io.Discard, "warning": io.Discard, "error": io.Discard}
	if severity = strings.ToLower(severity); writers[severity] != nil {
		writers[severity] = errs // a message goes to the writers of lower severities, too
	}
	verbosity, _ := strconv.Atoi(os.Getenv("GRPC_GO_LOG_VERBOSITY_LEVEL")) // gRPC ignores what is no number
	return grpclog.NewLoggerV2WithVerbosity(writers["info"], writers["warning"], writers["error"], verbosity)
}

// run runs a command line and returns the exit code.
func run(args []string, in io.Reader, out, errs io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), cli.EndSignals...)
	defer stop()
	context.AfterFunc(ctx, stop) // so that a second signal ends the program at once
	p := &cli.Program{In: in, Out: cli.Terminal(out), Errs: cli.Terminal(errs)}
	root := rootCommand(p)
	root.SetArgs(args)
	if err := root.ExecuteContext(ctx); err != nil {
		return p.Fail(err)
	}
	return 0
}
