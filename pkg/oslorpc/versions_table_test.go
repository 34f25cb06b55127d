package oslorpc_test

import (
	"context"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// tablePage is the page with the table that TestVersionsTable checks.
const tablePage = "../../docs/versions-table.md"

// tableCaps are the version caps of the page. Each message has a row for each cap.
var tableCaps = []string{"none", "1.1", "2.0", "epoxy", "auto"}

// tableWords are the words for cells in which the message runs nowhere.
var tableWords = map[string]oslorpc.Kind{
	"unsupported": oslorpc.UnsupportedVersion, "capped": oslorpc.VersionCapExceeded, "no server": oslorpc.NoInstance,
}

// tableRow is a row of the page: the outcome of a message in each fleet.
type tableRow struct {
	message string
	caps    []string
	fleets  []string // the columns
	cells   []string
}

// tableSection is a heading of the page with its rows. The section without a title lists the
// servers.
type tableSection struct {
	title string
	rows  []tableRow
}

// readTable reads the tables of the page.
func readTable(t *testing.T) (servers map[string][]string, sections []tableSection) {
	t.Helper()
	text, err := os.ReadFile(tablePage)
	if err != nil {
		t.Fatal(err)
	}
	servers = map[string][]string{}
	var head []string
	for line := range strings.Lines(string(text)) {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			sections = append(sections, tableSection{title: strings.TrimSpace(title)})
		}
		if !strings.HasPrefix(line, "|") {
			head = nil
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case head == nil:
			head = cells
		case strings.HasPrefix(cells[0], "---"):
		case len(cells) != len(head):
			t.Fatalf("a row has %d cells, its table %d columns: %s", len(cells), len(head), line)
		case len(sections) == 0:
			servers[cells[0]] = strings.Split(cells[1], ", ")
		default:
			last := &sections[len(sections)-1]
			last.rows = append(last.rows, tableRow{cells[0], strings.Split(cells[1], ", "), head[2:], cells[2:]})
		}
	}
	return servers, sections
}

// checkComplete fails unless each message of a section has one row for each cap, and the messages
// without variants cover all versions.
func (s *tableSection) checkComplete(t *testing.T, versions []string) {
	t.Helper()
	rows := map[[2]string]int{}
	var messages []string
	for _, r := range s.rows {
		if !slices.Contains(messages, r.message) {
			messages = append(messages, r.message)
		}
		for _, limit := range r.caps {
			rows[[2]string{r.message, limit}]++
		}
	}
	for _, message := range messages {
		for _, limit := range tableCaps {
			if n := rows[[2]string{message, limit}]; n != 1 {
				t.Errorf("%s: %s with the cap %s has %d rows", s.title, message, limit, n)
			}
		}
	}
	if n := len(messages) * len(tableCaps); len(rows) != n {
		t.Errorf("%s: there are %d rows, of messages and caps, and not %d: some cap is none of %v", s.title, len(rows), n, tableCaps)
	}
	if versions != nil && !slices.Equal(messages, versions) {
		t.Errorf("%s: the versions are %v, want %v", s.title, messages, versions)
	}
}

// tableRun is a run of a message: the server, and the requested version.
type tableRun struct{ version, server string }

// tableRuns are the runs of each message, by ID.
type tableRuns struct {
	mu   sync.Mutex
	runs map[string][]tableRun
}

func (r *tableRuns) note(id string, run tableRun) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs[id] = append(r.runs[id], run)
}

func (r *tableRuns) of(id string) []tableRun {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.runs[id])
}

// tableArgs are the arguments of a message: its ID and, if there are variants, the version of its
// variant.
type tableArgs struct {
	ID   string              `json:"id"`
	Form oslorpc.Opt[string] `json:"form"`
}

// tableEndpoint records the messages that it runs, and refuses messages that must not reach it.
type tableEndpoint struct {
	version string
	runs    *tableRuns
}

func (e tableEndpoint) run(ctx context.Context, args tableArgs) (string, error) {
	asked := oslorpc.MessageFrom(ctx)
	version := asked.Target.Version
	if err := mustServe(e.version, version); err != nil {
		return "", err
	}
	if form := args.Form.Or(version); form != version {
		return "", fmt.Errorf("version %s was asked for with the arguments of %s", version, form)
	}
	e.runs.note(args.ID, tableRun{version, asked.Server})
	return asked.Server, nil
}

func (e tableEndpoint) Run(ctx context.Context, args tableArgs) (string, error) {
	return e.run(ctx, args)
}

func (e tableEndpoint) Stream(ctx context.Context, args tableArgs) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) { yield(e.run(ctx, args)) }
}

// mustServe returns an error if an endpoint of one version must not run a message of another
// version.
func mustServe(implemented, asked string) error {
	i, err := rpc.ParseVersion(implemented)
	if err != nil {
		return err
	}
	a, err := rpc.ParseVersion(asked)
	if err != nil {
		return err
	}
	if !i.Serves(a) {
		return fmt.Errorf("an endpoint of version %s runs a message of version %s", implemented, asked)
	}
	return nil
}

// tableVolumes is a typed service that records the messages that it runs, and refuses messages that
// must not reach it. The name of a volume is the message ID.
type tableVolumes struct {
	v1.UnimplementedInventoryServiceServer

	version string
	runs    *tableRuns
}

// has describes a field of a typed message: the version that added it, and whether it is set.
type has struct {
	since string
	set   bool
}

func (v tableVolumes) run(ctx context.Context, id string, fields ...has) error {
	asked := oslorpc.MessageFrom(ctx)
	version := asked.Target.Version
	if err := mustServe(v.version, version); err != nil {
		return err
	}
	for _, f := range fields {
		if err := mustServe(version, f.since); f.set && err != nil {
			return fmt.Errorf("it has a field of %s: %w", f.since, err)
		}
	}
	v.runs.note(id, tableRun{version, asked.Server})
	return nil
}

func (v tableVolumes) CreateVolume(ctx context.Context, r *v1.CreateVolumeRequest) (*v1.CreateVolumeResponse, error) {
	return &v1.CreateVolumeResponse{}, v.run(ctx, r.GetName(),
		has{"1.1", r.GetDescription() != ""}, has{"1.1", r.Priority != nil}, has{"1.2", r.Weight != nil}, has{"1.2", r.GetTags() != nil})
}

func (v tableVolumes) ReportUsage(ctx context.Context, r *v1.ReportUsageRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, v.run(ctx, r.GetName(), has{"1.1", r.GetInodes() != 0}, has{"1.2", r.GetLimit() != 0})
}

func (v tableVolumes) InvalidateCache(ctx context.Context, r *v1.InvalidateCacheRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, v.run(ctx, r.GetName(), has{"1.1", r.GetAt() != 0}, has{"1.2", r.GetLabels() != nil})
}

// tableFleet is the fleet of a column.
type tableFleet struct {
	transport *oslorpc.Transport
	size      int
	runs      *tableRuns
	messages  int
}

// newTableFleet starts the servers that a column names.
func newTableFleet(t *testing.T, column string, implemented map[string][]string) *tableFleet {
	t.Helper()
	f, runs := oslorpctest.New(t), &tableRuns{runs: map[string][]tableRun{}}
	fleet := &tableFleet{transport: f.Transport(), runs: runs}
	if column == "empty" {
		return fleet
	}
	for name := range strings.FieldsSeq(column) {
		if implemented[name] == nil {
			t.Fatalf("the page does not say what the server %q implements", name)
		}
		var endpoints []oslorpc.Endpoint
		var options []oslorpc.ServerOption
		for _, v := range implemented[name] {
			endpoints = append(endpoints, oslorpc.Endpoint{Version: v, Struct: oslorpc.Methods(tableEndpoint{v, runs})})
			if v[0] == '1' { // the typed service has no other major version
				options = append(options, oslorpc.WithServiceVersion(inventoryService, v), oslorpc.WithServices(func(r grpc.ServiceRegistrar) {
					v1.RegisterInventoryServiceServer(r, tableVolumes{version: v, runs: runs})
				}))
			}
		}
		f.Serve(oslorpc.Target{Topic: "versions", Server: name}, endpoints, options...)
		fleet.size++
	}
	return fleet
}

// client returns a client of the fleet with a cap, which has the name that the page uses.
func (f *tableFleet) client(limit string) *oslorpc.Client {
	if limit == "none" {
		limit = oslorpc.None
	}
	return f.transport.Client(oslorpc.Target{Topic: "versions"}, oslorpc.WithFailFast(true),
		oslorpc.WithVersionAliases(map[string]string{"epoxy": "1.2"}), oslorpc.WithVersionCap(limit))
}

// tableSend sends the message of a row. It returns how many servers accepted the message and how
// many were skipped.
type tableSend func(ctx context.Context, c *oslorpc.Client, message, id string) (taken, skipped int, err error)

// prepared returns the client and the arguments for the message of a row, which has either one
// version or variants.
func prepared(c *oslorpc.Client, message, id string) (*oslorpc.Client, any) {
	versions := strings.Split(message, " else ")
	if len(versions) == 1 {
		return c.Prepare(oslorpc.WithVersion(message)), map[string]any{"id": id}
	}
	var variants oslorpc.Variants
	for _, v := range versions {
		variants = append(variants, oslorpc.Variant{Version: v, Args: map[string]any{"id": id, "form": v}})
	}
	return c, variants
}

func tableCall(ctx context.Context, c *oslorpc.Client, message, id string) (taken, skipped int, err error) {
	c, args := prepared(c, message, id)
	_, err = oslorpc.Call[string](ctx, c, "run", args)
	return 1, 0, err
}

func tableCast(ctx context.Context, c *oslorpc.Client, message, id string) (taken, skipped int, err error) {
	c, args := prepared(c, message, id)
	return 1, 0, c.Cast(ctx, "run", args)
}

func tableMulticall(ctx context.Context, c *oslorpc.Client, message, id string) (taken, skipped int, err error) {
	c, args := prepared(c, message, id)
	for _, failed := range oslorpc.Multicall[string](ctx, c, "stream", args) {
		err = failed
	}
	return 1, 0, err
}

func tableFanout(ctx context.Context, c *oslorpc.Client, message, id string) (taken, skipped int, err error) {
	c, args := prepared(c, message, id)
	report, err := c.Fanout(ctx, "run", args)
	if err != nil {
		return 0, 0, err
	}
	return counts(report)
}

// counts checks the report of a fanout in which nothing fails and servers are skipped only for
// their version.
func counts(r *oslorpc.Report) (taken, skipped int, err error) {
	for _, d := range r.Skipped {
		if oslorpc.KindOf(d.Err) != oslorpc.UnsupportedVersion {
			return 0, 0, fmt.Errorf("%s was skipped: %w", d.Instance.Server, d.Err)
		}
	}
	return len(r.Accepted), len(r.Skipped), r.Err()
}

func tableGather(ctx context.Context, c *oslorpc.Client, message, id string) (taken, skipped int, err error) {
	c, args := prepared(c, message, id)
	for r, failed := range oslorpc.Gather[string](ctx, c, "run", args) {
		switch {
		case failed == nil:
			taken++
		case r.Skipped && oslorpc.KindOf(failed) == oslorpc.UnsupportedVersion:
			skipped++
		default:
			return 0, 0, failed
		}
	}
	return taken, skipped, nil
}

func typedCall(ctx context.Context, c *oslorpc.Client, message, id string) (taken, skipped int, err error) {
	r := map[string]*v1.CreateVolumeRequest{
		"plain":                        {},
		"droppable 1.2":                {Weight: proto.Int32(1)},
		"droppable 1.1 and 1.2":        {Weight: proto.Int32(1), Description: "d"},
		"strict 1.2":                   {Tags: []string{"t"}},
		"strict 1.1 and droppable 1.2": {Priority: proto.Int32(1), Weight: proto.Int32(1)},
	}[message]
	r.Name = id
	_, err = v1.NewInventoryServiceClient(c).CreateVolume(ctx, r)
	return 1, 0, err
}

func typedCast(ctx context.Context, c *oslorpc.Client, message, id string) (taken, skipped int, err error) {
	r := map[string]*v1.ReportUsageRequest{"plain": {}, "droppable 1.1": {Inodes: 1}, "strict 1.2": {Limit: 1}}[message]
	r.Name = id
	_, err = v1.NewInventoryServiceClient(c).ReportUsage(ctx, r)
	return 1, 0, err
}

func typedFanout(ctx context.Context, c *oslorpc.Client, message, id string) (taken, skipped int, err error) {
	r := map[string]*v1.InvalidateCacheRequest{
		"plain": {}, "droppable 1.2": {Labels: []string{"l"}}, "strict 1.1": {At: 1}, "strict 1.1 and droppable 1.2": {At: 1, Labels: []string{"l"}},
	}[message]
	r.Name = id
	var report oslorpc.Report
	if _, err := v1.NewInventoryServiceClient(c).InvalidateCache(ctx, r, oslorpc.FanoutReport(&report)); err != nil {
		return 0, 0, err
	}
	return counts(&report)
}

// wanted returns the runs that a cell names.
func wanted(message, cell string) (runs []tableRun) {
	if cell == "none" {
		return nil
	}
	for part := range strings.SplitSeq(cell, ", ") {
		version, servers, says := strings.Cut(part, " at ")
		if !says {
			version, servers = message, part
		}
		for server := range strings.FieldsSeq(servers) {
			runs = append(runs, tableRun{version, server})
		}
	}
	return runs
}

// send sends a message and returns its runs. If all is true, the message reaches or skips every
// server.
func (f *tableFleet) send(t *testing.T, send tableSend, c *oslorpc.Client, message string, all bool) ([]tableRun, error) {
	t.Helper()
	f.messages++
	id := fmt.Sprint("m", f.messages)
	taken, skipped, err := send(t.Context(), c, message, id)
	if err != nil {
		if ran := f.runs.of(id); len(ran) > 0 {
			t.Fatalf("it failed with %v, and ran: %v", err, ran)
		}
		return nil, err
	}
	if all && taken+skipped != f.size {
		t.Errorf("%d servers took it and %d were skipped, of %d", taken, skipped, f.size)
	}
	until(t, "it ran wherever it was taken", func() bool { return len(f.runs.of(id)) >= taken })
	runs := f.runs.of(id)
	if len(runs) != taken {
		t.Errorf("it was taken %d times, and ran: %v", taken, runs)
	}
	return runs, nil
}

// check sends the message of a row until each server that a cell names has run it.
func (f *tableFleet) check(t *testing.T, send tableSend, c *oslorpc.Client, message, cell string, all bool) {
	t.Helper()
	if kind, fails := tableWords[cell]; fails {
		_, err := f.send(t, send, c, message, all)
		wantKind(t, err, kind, true)
		return
	}
	want, seen := wanted(message, cell), map[tableRun]bool{}
	// Send at least twice as many messages as there are servers. With fewer, a server that must not
	// run the message might not have had its turn.
	for n := 0; n < 2*f.size || len(seen) < len(want); n++ {
		runs, err := f.send(t, send, c, message, all)
		if err != nil {
			t.Fatalf("got %v, want %s", err, cell)
		}
		for _, r := range runs {
			if !slices.Contains(want, r) {
				t.Fatalf("it ran at %s, as version %s; want %s", r.server, r.version, cell)
			}
			seen[r] = true
		}
		if all && len(runs) != len(want) {
			t.Fatalf("it ran as %v; want %s", runs, cell)
		}
		if n > 100 {
			t.Fatalf("in %d messages only %v had a turn; want %s", n, seen, cell)
		}
	}
	if all && f.size == 0 {
		if _, err := f.send(t, send, c, message, all); err != nil {
			t.Errorf("got %v, want nothing to happen", err)
		}
	}
}

// TestVersionsTable checks docs/versions-table.md: all combinations of the versions of clients and
// servers, the caps and the deliveries.
func TestVersionsTable(t *testing.T) {
	versions := []string{"1.0", "1.1", "1.2", "2.0"}
	type deliveries map[string]tableSend
	one := deliveries{"call": tableCall, "cast": tableCast, "multicall": tableMulticall}
	everybody := deliveries{"fanout": tableFanout, "gather": tableGather}
	meant := map[string]struct {
		versions []string
		by       deliveries // nil: it is asked whether it can be sent
		all      bool
	}{
		"Call, cast and multicall":               {versions, one, false},
		"Fanout and gather":                      {versions, everybody, true},
		"CanSendVersion":                         {versions: versions},
		"Call, cast and multicall with variants": {by: one},
		"Fanout and gather with variants":        {by: everybody, all: true},
		"Typed call":                             {by: deliveries{"typed call": typedCall}},
		"Typed cast":                             {by: deliveries{"typed cast": typedCast}},
		"Typed fanout":                           {by: deliveries{"typed fanout": typedFanout}, all: true},
	}
	servers, sections := readTable(t)
	if len(sections) != len(meant) {
		t.Errorf("the page has %d tables, the test is about %d", len(sections), len(meant))
	}
	fleets := map[string]*tableFleet{}
	for _, s := range sections {
		m, known := meant[s.title]
		if !known {
			t.Errorf("the test does not know what to do with %q", s.title)
			continue
		}
		s.checkComplete(t, m.versions)
		s.each(func(message, limit, column, cell string) {
			if fleets[column] == nil {
				fleets[column] = newTableFleet(t, column, servers)
			}
			f, combination := fleets[column], fmt.Sprintf("%s, cap %s/%s", message, limit, column)
			c := f.client(limit)
			for delivery, send := range m.by {
				t.Run(delivery+"/"+combination, func(t *testing.T) { f.check(t, send, c, message, cell, m.all) })
			}
			if m.by != nil {
				return
			}
			t.Run("can send/"+combination, func(t *testing.T) {
				for _, of := range []string{message, "1.0"} {
					can, err := c.Prepare(oslorpc.WithVersion(of)).CanSendVersionOf(t.Context(), message)
					if err != nil || can != (cell == "yes") {
						t.Errorf("got %v, %v; want %s", can, err, cell)
					}
				}
			})
		})
	}
}

// each calls do with each message, cap, column and cell of a section.
func (s *tableSection) each(do func(message, limit, column, cell string)) {
	for _, r := range s.rows {
		for _, limit := range r.caps {
			for i, column := range r.fleets {
				do(r.message, limit, column, r.cells[i])
			}
		}
	}
}

// TestVariantOfAnotherEndpoint has a server that offers a method only in an older version of a
// namespace. Its version fits the newer variant, but its methods do not, so it gets the older
// variant.
func TestVariantOfAnotherEndpoint(t *testing.T) {
	f := oslorpctest.New(t)
	f.Serve(oslorpc.Target{Topic: "agents", Server: "a"}, []oslorpc.Endpoint{
		{Version: "1.2", Methods: map[string]oslorpc.Method{"other": says("other")}}, {Version: "1.1", Struct: oslorpc.Methods(newAgent("a"))},
	})
	c := f.Client(oslorpc.Target{Topic: "agents"})
	variants := oslorpc.Variants{{Version: "1.2"}, {Version: "1.1"}}
	if who, err := oslorpc.Call[string](t.Context(), c, "whoami", variants); who != "a" || err != nil {
		t.Errorf("a call got %q, %v", who, err)
	}
	if report, err := c.Fanout(t.Context(), "note", variants); err != nil || len(report.Accepted) != 1 {
		t.Errorf("a fanout got %+v, %v", report, err)
	}
	_, err := oslorpc.Call[string](t.Context(), c, "unknown", variants)
	wantKind(t, err, oslorpc.NoSuchMethod, true)
}
