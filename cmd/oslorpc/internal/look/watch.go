package look

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/instances"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// watchInterval is the time between two reads of the registry.
const watchInterval = 300 * time.Millisecond

func watchCommand(p *cli.Program) *cobra.Command {
	var s instances.Selection
	cmd := &cobra.Command{
		Use:   "watch [TOPIC]",
		Short: "Print a line when a server joins, leaves or changes, until ^C",
		Long: `Print the servers, and then a line with the time whenever a server joins, leaves or changes, until ^C. When the
registry cannot be read, the command says so once and tries again. If the registry still cannot be read at the end, the
exit code is the code of the error.`,
		Example: `  oslorpc watch
  oslorpc watch demo --output json`,
		DisableFlagsInUseLine: true,
		Args:                  p.Takes(0, 1, "at most a TOPIC"),
		ValidArgsFunction:     instances.CompleteTopic(p),
		RunE: func(cmd *cobra.Command, words []string) error {
			s.SetTopic(words)
			return p.WithTransport(func(t *oslorpc.Transport) error {
				w := watcher{program: p, selection: s}
				return w.run(cmd.Context(), t)
			})
		},
	}
	s.AddExchange(cmd)
	return cmd
}

// watcher is the state of a watch.
type watcher struct {
	program   *cli.Program
	selection instances.Selection
	seen      []oslorpc.Instance
	looked    bool  // the registry was read before
	failing   error // why the registry cannot be read now
}

// run watches until ctx ends. It returns an error only if the registry cannot be read at that time.
func (w *watcher) run(ctx context.Context, t *oslorpc.Transport) error {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := w.look(ctx, t); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return w.failing
}

// look reads the registry once and prints the changes since the last read.
func (w *watcher) look(ctx context.Context, t *oslorpc.Transport) error {
	bounded, cancel := context.WithTimeout(ctx, instances.LookTimeout)
	defer cancel()
	list, meant, err := w.selection.List(bounded, t)
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil && w.failing != nil && err.Error() == w.failing.Error():
		return nil
	case err != nil:
		w.failing = err
		return w.print(event{what: "error", err: err})
	}
	w.failing = nil
	if !w.looked && len(list) == 0 {
		w.program.Notef("%s", w.selection.Absence(meant.Text))
	}
	for _, e := range changes(w.seen, list) {
		if !w.looked {
			e.what = "present"
		}
		if err := w.print(e); err != nil {
			return err
		}
	}
	w.seen, w.looked = list, true
	return nil
}

// event is a line of a watch.
type event struct {
	what     string // present, joined, left, changed or error
	instance oslorpc.Instance
	err      error
}

// EventDocument is an event for programs.
type EventDocument struct {
	Time     time.Time           `json:"time"`
	Event    string              `json:"event"`
	Instance *instances.Document `json:"instance,omitempty"`
	Error    *cli.Failure        `json:"error,omitempty"`
}

func (w *watcher) print(e event) error {
	now := time.Now()
	if w.program.JSON() {
		d := EventDocument{Time: now, Event: e.what}
		if e.err != nil {
			d.Error = cli.NewFailure(e.err)
		} else {
			i := instances.NewDocument(e.instance)
			d.Instance = &i
		}
		return cli.WriteJSON(w.program.Out, d)
	}
	_, err := fmt.Fprintf(w.program.Out, "%s  %-7s  %s\n", now.Format(time.TimeOnly), e.what, e.text())
	return err
}

// text describes the subject of an event.
func (e *event) text() string {
	if e.err != nil {
		return cli.NewFailure(e.err).Text()
	}
	row := instances.Row(e.instance)
	for n := range row {
		row[n] = cli.Cell(row[n])
	}
	return strings.Join(row, "  ")
}

// changes returns the events between two lists: first the instances that left, then the ones that
// joined or changed, in order.
func changes(before, after []oslorpc.Instance) []event {
	var events []event
	was, is := byIdentity(before), byIdentity(after)
	for _, i := range before {
		if _, stays := is[identity(i)]; !stays {
			events = append(events, event{what: "left", instance: i})
		}
	}
	for _, i := range after {
		old, known := was[identity(i)]
		switch {
		case !known:
			events = append(events, event{what: "joined", instance: i})
		case description(old) != description(i):
			events = append(events, event{what: "changed", instance: i})
		}
	}
	return events
}

// identity returns a text that identifies an instance in a list: its id, or its names and address
// if it has no id, as at a static address.
func identity(i oslorpc.Instance) string {
	if i.ID != "" {
		return i.ID
	}
	return description(i)
}

func description(i oslorpc.Instance) string { return fmt.Sprintf("%q", instances.Row(i)) }

func byIdentity(list []oslorpc.Instance) map[string]oslorpc.Instance {
	m := make(map[string]oslorpc.Instance, len(list))
	for _, i := range list {
		m[identity(i)] = i
	}
	return m
}
