package oslorpc_test

import (
	"context"
	_ "embed"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

// versionsTable says which server runs which message; this file does as it says.
//
//go:embed testdata/versions.txt
var versionsTable string

// cell is one expectation of the table.
type cell struct{ block, client, limit, fleet, want string }

func cells(t *testing.T) []cell {
	t.Helper()
	var all []cell
	var block string
	var fleets []string
	for line := range strings.Lines(versionsTable) {
		line = strings.TrimRight(line, "\n")
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, " "):
			fleets = words
		case len(words) == 2+len(fleets) && len(fleets) > 0:
			for i, want := range words[2:] {
				all = append(all, cell{block, words[0], words[1], fleets[i], want})
			}
		default:
			block, fleets = line, nil
		}
	}
	if len(all) != (16+16+10+3+3)*7 {
		t.Fatalf("the table has %d cells", len(all))
	}
	return all
}

func TestVersionsTable(t *testing.T) {
	fleets := map[string]*oslorpctest.Fleet{}
	for _, c := range cells(t) {
		f := fleets[c.fleet]
		if f == nil {
			f = versionedFleet(t, strings.Split(c.fleet, "+"))
			fleets[c.fleet] = f
		}
		client := f.Client(oslorpc.Target{Topic: "topic"}, oslorpc.WithVersionAliases(map[string]string{"release": "1.1"}),
			oslorpc.WithVersionCap(map[string]string{"none": "", "fixed": "1.1", "alias": "release", "auto": "auto"}[c.limit]))
		if c.client != "any" {
			client = client.Prepare(oslorpc.WithVersion(c.client))
		}
		deliveries, variants := strings.CutSuffix(c.block, " with variants")
		for delivery := range strings.SplitSeq(deliveries, ", ") {
			t.Run(strings.Join([]string{c.block, delivery, c.client, c.limit, c.fleet}, "/"), func(t *testing.T) {
				if got := outcome(t, f, client, delivery, variants); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
			})
		}
	}
}

// versionedFleet returns servers that implement a version each, and are named after it.
func versionedFleet(t *testing.T, versions []string) *oslorpctest.Fleet {
	t.Helper()
	f := oslorpctest.New(t)
	for _, v := range versions {
		f.Serve(oslorpc.Target{Topic: "topic", Server: v}, []oslorpc.Endpoint{{Version: v, Methods: map[string]oslorpc.Method{
			"who": oslorpc.Func(func(ctx context.Context, _ oslorpc.Raw) (string, error) {
				asked, _ := oslorpc.RequestFrom(ctx)
				return asked.Version.String() + "@" + v, nil
			}),
		}}})
	}
	return f
}

// outcome does what a cell is about, as often as it takes to meet all servers, and says what came of it.
func outcome(t *testing.T, f *oslorpctest.Fleet, client *oslorpc.Client, delivery string, variants bool) string {
	t.Helper()
	if delivery == "can send" {
		if can, err := client.CanSendVersion(t.Context()); err != nil || !can {
			return map[bool]string{true: "no", false: "failed"}[err == nil]
		}
		return "yes"
	}
	var args any
	if variants {
		args = oslorpc.Variants{{"1.2", nil}, {"1.1", nil}, {"1.0", nil}}
	}
	before := len(f.Messages())
	for range 6 { // of up to three servers, each has its turn
		switch err := deliver(t, client, delivery, args); oslorpc.KindOf(err) {
		case oslorpc.VersionCapExceeded:
			return "capped"
		case oslorpc.UnsupportedVersion:
			return "unsupported"
		default:
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return ran(f.Messages()[before:], variants)
}

// ran says which servers got messages, and at which versions if that matters.
func ran(messages []oslorpctest.Message, asked bool) string {
	all := map[string]bool{}
	for _, m := range messages {
		if asked {
			all[m.Version.String()+"@"+m.Server] = true
		} else {
			all[m.Server] = true
		}
	}
	if len(all) == 0 {
		return "nobody"
	}
	return strings.Join(slices.Sorted(maps.Keys(all)), "+")
}

func deliver(t *testing.T, client *oslorpc.Client, delivery string, args any) error {
	t.Helper()
	switch delivery {
	case "call":
		_, err := oslorpc.Call[string](t.Context(), client, "who", args)
		return err
	case "cast":
		return client.Cast(t.Context(), "who", args)
	case "fanout":
		_, err := client.Fanout(t.Context(), "who", args)
		return err
	case "multicall":
		for _, err := range oslorpc.Multicall[string](t.Context(), client, "who", args) {
			return err
		}
		return nil
	}
	t.Fatalf("the table has a delivery %q", delivery)
	return nil
}
