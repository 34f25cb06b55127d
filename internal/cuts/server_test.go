package cuts

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/oslorpc/oslorpc/internal/lab/history"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// These are the target of all messages.
const (
	topic   = "cuts"
	version = "1.0"
	method  = "work"
)

// job has the arguments of the method.
type job struct {
	ID     string        `json:"id"`
	Length time.Duration `json:"length"`
}

// serve starts a server that records its runs in a history, and returns its address.
func serve(ctx context.Context, out *history.Writer, process string) (addr string, t *oslorpc.Transport, err error) {
	t, err = oslorpc.Open("memory://"+process, oslorpc.WithStopGrace(0), oslorpc.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return "", nil, err
	}
	server := t.Server(oslorpc.Target{Topic: topic, Server: "server"})
	server.Add(oslorpc.Endpoint{Version: version, Methods: map[string]oslorpc.Method{method: oslorpc.Func(
		func(ctx context.Context, j job) (string, error) {
			m := oslorpc.MessageFrom(ctx)
			out.Write(history.Record{Execution: &history.Execution{
				ID: j.ID, Process: process, Server: m.Server, Instance: m.InstanceID, At: time.Now(),
			}})
			timer := time.NewTimer(j.Length)
			defer timer.Stop()
			select {
			case <-timer.C:
				return m.InstanceID, nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		})}})
	if err := server.Start(ctx); err != nil {
		_ = t.Close()
		return "", nil, err
	}
	i, _ := server.Instance()
	out.Write(history.Record{Up: &history.Up{Process: process, Topic: topic, Server: i.Server, Instance: i.ID, At: time.Now()}})
	return i.Addr, t, nil
}

// processVariable and historyVariable make a process of the test binary a server. They contain its
// name and the directory of its history.
const (
	processVariable = "OSLORPC_CUTS_PROCESS"
	historyVariable = "OSLORPC_CUTS_HISTORY"
)

// serveAsProcess runs a server in this process. It prints the address.
func serveAsProcess(process string) error {
	out, err := history.Create(os.Getenv(historyVariable), process)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	addr, t, err := serve(ctx, out, process)
	if err != nil {
		return err
	}
	fmt.Println(addr)
	<-ctx.Done()
	return t.Close()
}

// child is a server process.
type child struct {
	name, addr string
	cmd        *exec.Cmd
}

// startChild starts a server process that the test can kill.
func startChild(ctx context.Context, dir, name string) (*child, error) {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), processVariable+"="+name, historyVariable+"="+dir)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // the error only says that it was killed
		return nil, fmt.Errorf("server %s does not start: %w", name, err)
	}
	return &child{name, strings.TrimSpace(line), cmd}, nil
}

// kill kills the process and records the time.
func (c *child) kill(out *history.Writer) {
	_ = c.cmd.Process.Kill()
	out.Write(history.Record{Event: &history.Event{What: history.Killed, Process: c.name, At: time.Now()}})
	_ = c.cmd.Wait() // the error only says that it was killed
}
