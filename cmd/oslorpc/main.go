// Command oslorpc sends messages, looks at fleets and runs demo servers, from the command line.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"

	"google.golang.org/grpc/grpclog"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
)

func main() {
	if os.Getenv("GRPC_GO_LOG_SEVERITY_LEVEL") == "" {
		// gRPC would log to standard error, among our errors, which programs read.
		grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	}
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run runs a command line and returns the exit code.
func run(args []string, in io.Reader, out, errs io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), cli.EndSignals...)
	defer stop()
	context.AfterFunc(ctx, stop) // so that a second signal ends the program at once
	p := &cli.Program{In: in, Out: out, Errs: errs}
	root := rootCommand(p)
	root.SetArgs(args)
	if err := root.ExecuteContext(ctx); err != nil {
		return p.Fail(err)
	}
	return 0
}
