package upgrades

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/instances"
	"github.com/oslorpc/oslorpc/internal/upgrade"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func versionsCommand(p *cli.Program) *cobra.Command {
	var s instances.Selection
	cmd := &cobra.Command{
		Use:   "versions TOPIC",
		Short: "Show which server implements which version, and what the automatic version cap is",
		Long: `Show which server on a topic implements which version of each interface: a namespace and a major version, as in
control=2.x. Below, show for each interface the automatic version cap, which clients with the cap "auto" follow: the
latest version that all servers implement, without the draining ones. Then show the newest version that some server
implements, and the servers that hold the cap down, with how long they are up.`,
		Example: `  oslorpc versions demo
  oslorpc versions demo --output json
  oslorpc versions why demo`,
		DisableFlagsInUseLine: true,
		Args:                  p.Takes(1, 1, "a TOPIC"),
		ValidArgsFunction:     instances.CompleteTopic(p),
		RunE:                  s.Run(p, func(ctx context.Context, t *oslorpc.Transport) error { return versions(ctx, p, t, &s) }),
	}
	s.AddOneExchange(cmd)
	s.AddTimeout(cmd)
	cmd.AddCommand(whyCommand(p))
	return cmd
}

func versions(ctx context.Context, p *cli.Program, t *oslorpc.Transport, s *instances.Selection) error {
	list, err := s.SomeInExchange(ctx, t)
	if err != nil {
		return err
	}
	m := upgrade.NewMatrix(list)
	seen := observe(ctx, t, m.Holders())
	if p.JSON() {
		return cli.WriteJSON(p.Out, newMatrixDocument(s, m, seen))
	}
	if err := cli.WriteTable(p.Out, "", matrixRows(m)); err != nil {
		return err
	}
	if len(m.Caps) == 0 {
		p.Notef("no server reports what it implements; oslorpc info asks them")
		return nil
	}
	fmt.Fprintln(p.Out)
	return cli.WriteTable(p.Out, "", capRows(m, seen))
}

// MatrixDocument shows which instance implements which version, for programs.
type MatrixDocument struct {
	Exchange  string            `json:"exchange"`
	Topic     string            `json:"topic"`
	Instances []CountedDocument `json:"instances"`
	Caps      []CapDocument     `json:"caps"`
}

// CountedDocument is an instance. Counted says whether automatic caps count it.
type CountedDocument struct {
	instances.Document
	Counted bool `json:"counted"`
}

// CapDocument is an automatic cap. It has a version only if the state is "known".
type CapDocument struct {
	Namespace string           `json:"namespace"`
	Major     uint32           `json:"major"`
	State     rpc.CapState     `json:"state"`
	Version   string           `json:"version,omitempty"`
	Next      string           `json:"next,omitempty"`
	Newest    string           `json:"newest,omitempty"`
	HeldDown  bool             `json:"held_down"`
	Holders   []HolderDocument `json:"holders"`
}

func newMatrixDocument(s *instances.Selection, m *upgrade.Matrix, seen []upgrade.Observation) *MatrixDocument {
	d := &MatrixDocument{Exchange: s.Exchange, Topic: s.Topic, Instances: []CountedDocument{}, Caps: []CapDocument{}}
	for _, i := range m.Instances {
		d.Instances = append(d.Instances, CountedDocument{instances.NewDocument(i), upgrade.Counted(i)})
	}
	for _, c := range m.Caps {
		d.Caps = append(d.Caps, newCapDocument(&c, seen))
	}
	return d
}

func newCapDocument(c *upgrade.Cap, seen []upgrade.Observation) CapDocument {
	d := CapDocument{
		Namespace: c.Namespace, Major: c.Major, State: c.State, Newest: c.Newest.String(), HeldDown: c.HeldDown(),
		Holders: []HolderDocument{},
	}
	d.Version, d.Next = capVersions(c.CapReason)
	if d.HeldDown {
		d.Holders = newHolderDocuments(c.CapReason, seen)
	}
	return d
}

// capVersions returns the version of a cap and the version that it would rise to, each empty if
// there is none.
func capVersions(r *rpc.CapReason) (version, next string) {
	if r.State == rpc.CapKnown {
		version = r.Version.String()
	}
	if r.Next != nil {
		next = r.Next.String()
	}
	return version, next
}
