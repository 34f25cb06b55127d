package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func (p *program) pingCommand() *cobra.Command {
	var s selection
	cmd := &cobra.Command{
		Use:   "ping TOPIC",
		Short: "Measure how long each server on a topic takes to answer",
		Long: `Measure how long each server on a topic takes to answer, over a connection that is up. A ping does not pass
through the server's queue: a busy server answers too. The exit code is that of the first server that does not.`,
		Example: `  oslorpc ping demo
  oslorpc ping demo --server node1 --timeout 1s`,
		DisableFlagsInUseLine: true,
		Args:                  p.takes(1, 1, "a TOPIC"),
		ValidArgsFunction:     p.completeTopic,
		RunE: func(cmd *cobra.Command, words []string) error {
			s.setTopic(words)
			ctx, cancel := context.WithTimeout(cmd.Context(), s.timeout)
			defer cancel()
			return p.withTransport(func(t *oslorpc.Transport) error { return p.ping(ctx, t, &s) })
		},
	}
	s.addExchange(cmd)
	s.addServer(p, cmd)
	s.addTimeout(cmd)
	return cmd
}

// pong is what came of a ping.
type pong struct {
	instance oslorpc.Instance
	took     time.Duration
	err      error
}

func (p *program) ping(ctx context.Context, t *oslorpc.Transport, s *selection) error {
	list, err := s.some(ctx, t)
	if err != nil {
		return err
	}
	pongs := ask(list, func(i oslorpc.Instance) pong {
		took, err := t.Ping(ctx, i)
		return pong{i, took, err}
	})
	if p.inJSON() {
		err = p.writePongDocuments(pongs)
	} else {
		err = p.writePongs(pongs)
	}
	if err != nil {
		return err
	}
	return silence(pongs)
}

func (p *program) writePongs(pongs []pong) error {
	rows := append(make([][]string, 0, 1+len(pongs)), []string{serverColumn, addressColumn, "TIME"})
	for _, one := range pongs {
		row := []string{one.instance.Server, one.instance.Addr, fmt.Sprintf("%.2f ms", milliseconds(one.took))}
		if one.err != nil {
			row[2] = one.err.Error()
		}
		rows = append(rows, row)
	}
	return writeTable(p.out, "", rows)
}

// pongDocument is a pong for programs.
type pongDocument struct {
	instanceDocument
	Milliseconds float64  `json:"milliseconds,omitempty"`
	Error        *failure `json:"error,omitempty"`
}

func (p *program) writePongDocuments(pongs []pong) error {
	documents := make([]pongDocument, 0, len(pongs))
	for _, one := range pongs {
		d := pongDocument{instanceDocument: newInstanceDocument(one.instance)}
		if one.err != nil {
			d.Error = newFailure(one.err)
		} else {
			d.Milliseconds = milliseconds(one.took)
		}
		documents = append(documents, d)
	}
	return writeJSON(p.out, documents)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// silence returns an error if somebody did not answer.
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
	return fmt.Errorf("%d of %d servers did not answer, the first of them so: %w", failed, len(pongs), first)
}
