// Command oslorpc sends messages, looks at fleets and runs demo servers, from the command line.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc/grpclog"
)

func main() {
	if os.Getenv("GRPC_GO_LOG_SEVERITY_LEVEL") == "" { // gRPC would write on standard error beside our errors, which programs read
		grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	}
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// endSignals ask a program to end.
var endSignals = []os.Signal{os.Interrupt, syscall.SIGTERM}

// run runs a command line and returns the exit code.
func run(args []string, in io.Reader, out, errs io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), endSignals...)
	defer stop()
	context.AfterFunc(ctx, stop) // so that a second signal ends the program at once
	p := &program{in: in, out: out, errs: errs}
	root := p.rootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	err = asAnswer(p.command, p.blame(err))
	p.report(err)
	return exitCode(err)
}
