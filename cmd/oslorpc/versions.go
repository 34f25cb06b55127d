package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/internal/upgrade"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func (p *program) versionsCommand() *cobra.Command {
	var s selection
	cmd := &cobra.Command{
		Use:   "versions TOPIC",
		Short: "Show which server implements which version, and what the automatic version cap is",
		Long: `Show which server on a topic implements which version of each interface: a namespace and a major version, as in
control=2.x. Below it is, for each interface, the automatic version cap, which is what clients with the cap "auto" send:
the latest version that all servers implement, those left out that drain. Then the newest version that some server
implements, and the servers that hold the cap down, with how long they are up.`,
		Example: `  oslorpc versions demo
  oslorpc versions demo --output json
  oslorpc versions why demo`,
		DisableFlagsInUseLine: true,
		Args:                  p.takes(1, 1, "a TOPIC"),
		ValidArgsFunction:     p.completeTopic,
		RunE: func(cmd *cobra.Command, words []string) error {
			s.setTopic(words)
			ctx, cancel := context.WithTimeout(cmd.Context(), s.timeout)
			defer cancel()
			return p.withTransport(func(t *oslorpc.Transport) error { return p.versions(ctx, t, &s) })
		},
	}
	s.addOneExchange(cmd)
	s.addTimeout(cmd)
	cmd.AddCommand(p.whyCommand())
	return cmd
}

func (p *program) versions(ctx context.Context, t *oslorpc.Transport, s *selection) error {
	list, err := s.someInExchange(ctx, t)
	if err != nil {
		return err
	}
	m := upgrade.NewMatrix(list)
	seen := observe(ctx, t, m.Holders())
	if p.inJSON() {
		return writeJSON(p.out, newMatrixDocument(s, m, seen))
	}
	if err := writeTable(p.out, "", matrixRows(m)); err != nil {
		return err
	}
	if len(m.Caps) == 0 {
		p.notef("no server says what it implements; oslorpc info asks them")
		return nil
	}
	fmt.Fprintln(p.out)
	return writeTable(p.out, "", capRows(m, seen))
}

// matrixDocument is a matrix for programs.
type matrixDocument struct {
	Exchange  string            `json:"exchange"`
	Topic     string            `json:"topic"`
	Instances []countedDocument `json:"instances"`
	Caps      []capDocument     `json:"caps"`
}

// countedDocument is an instance; Counted, if automatic caps count it.
type countedDocument struct {
	instanceDocument
	Counted bool `json:"counted"`
}

// capDocument is an automatic cap. Its version is there if the state is "known".
type capDocument struct {
	Namespace string           `json:"namespace"`
	Major     uint32           `json:"major"`
	State     rpc.CapState     `json:"state"`
	Version   string           `json:"version,omitempty"`
	Next      string           `json:"next,omitempty"`
	Newest    string           `json:"newest,omitempty"`
	HeldDown  bool             `json:"held_down"`
	Holders   []holderDocument `json:"holders"`
}

func newMatrixDocument(s *selection, m *upgrade.Matrix, seen []upgrade.Observation) *matrixDocument {
	d := &matrixDocument{Exchange: s.exchange, Topic: s.topic, Instances: []countedDocument{}, Caps: []capDocument{}}
	for _, i := range m.Instances {
		d.Instances = append(d.Instances, countedDocument{newInstanceDocument(i), upgrade.Counted(i)})
	}
	for _, c := range m.Caps {
		d.Caps = append(d.Caps, newCapDocument(&c, seen))
	}
	return d
}

func newCapDocument(c *upgrade.Cap, seen []upgrade.Observation) capDocument {
	d := capDocument{
		Namespace: c.Namespace, Major: c.Major, State: c.State, Newest: c.Newest.String(), HeldDown: c.HeldDown(), Holders: []holderDocument{},
	}
	if c.State == rpc.CapKnown {
		d.Version = c.Version.String()
	}
	if c.Next != nil {
		d.Next = c.Next.String()
	}
	if d.HeldDown {
		d.Holders = newHolderDocuments(c.CapReason, seen)
	}
	return d
}
