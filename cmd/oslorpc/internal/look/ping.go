package look

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/instances"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func pingCommand(p *cli.Program) *cobra.Command {
	var s instances.Selection
	cmd := &cobra.Command{
		Use:   "ping TOPIC",
		Short: "Measure how long each server on a topic takes to answer",
		Long: `Measure how long each server on a topic takes to answer, over a connection that is up. A ping does not pass
through the server's queue: a busy server answers too. The exit code is the code of the first server that does not
answer.`,
		Example: `  oslorpc ping demo
  oslorpc ping demo --server node1 --timeout 1s`,
		DisableFlagsInUseLine: true,
		Args:                  p.Takes(1, 1, "a TOPIC"),
		ValidArgsFunction:     instances.CompleteTopic(p),
		RunE:                  s.Run(p, func(ctx context.Context, t *oslorpc.Transport) error { return ping(ctx, p, t, &s) }),
	}
	s.AddExchange(cmd)
	s.AddServer(p, cmd)
	s.AddTimeout(cmd)
	return cmd
}

// pong is the outcome of a ping.
type pong struct {
	instance oslorpc.Instance
	took     time.Duration
	err      error
}

func ping(ctx context.Context, p *cli.Program, t *oslorpc.Transport, s *instances.Selection) error {
	list, err := s.Some(ctx, t)
	if err != nil {
		return err
	}
	pongs := instances.Ask(list, func(i oslorpc.Instance) pong {
		took, err := t.Ping(ctx, i)
		return pong{i, took, err}
	})
	if p.JSON() {
		err = cli.WriteJSON(p.Out, newPongDocuments(pongs))
	} else {
		err = writePongs(p, pongs)
	}
	if err != nil {
		return err
	}
	return silence(pongs)
}

func writePongs(p *cli.Program, pongs []pong) error {
	rows := append(make([][]string, 0, 1+len(pongs)), []string{cli.ServerColumn, cli.AddressColumn, "TIME"})
	for _, one := range pongs {
		row := []string{one.instance.Server, one.instance.Addr, fmt.Sprintf("%.2f ms", milliseconds(one.took))}
		if one.err != nil {
			row[2] = one.err.Error()
		}
		rows = append(rows, row)
	}
	return cli.WriteTable(p.Out, "", rows)
}

// PongDocument is the outcome of a ping, for programs.
type PongDocument struct {
	instances.Document
	Milliseconds float64      `json:"milliseconds,omitempty"`
	Error        *cli.Failure `json:"error,omitempty"`
}

func newPongDocuments(pongs []pong) []PongDocument {
	documents := make([]PongDocument, 0, len(pongs))
	for _, one := range pongs {
		d := PongDocument{Document: instances.NewDocument(one.instance)}
		if one.err != nil {
			d.Error = cli.NewFailure(one.err)
		} else {
			d.Milliseconds = milliseconds(one.took)
		}
		documents = append(documents, d)
	}
	return documents
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// silence returns the error that ends the command if a server did not answer, or nil.
func silence(pongs []pong) error {
	var first error
	failed := 0
	for _, one := range pongs {
		if one.err != nil {
			failed++
			if first == nil {
				first = one.err
			}
		}
	}
	if first == nil {
		return nil
	}
	return fmt.Errorf("%d of %d servers did not answer; the first error: %w", failed, len(pongs), first)
}
