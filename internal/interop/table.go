package interop

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

const (
	passed = "ok"
	failed = "FAIL"
	// missing stands for cells that cannot exist.
	missing = "-"
	// caseWidth and cellWidth are the widths of the columns.
	caseWidth = 30
	cellWidth = 6
)

// Print prints the results as a table, with a row for each case and a column for each pair of a
// server and a client. Below the table are the reasons why cells cannot exist, the failures, and
// the counts. Print returns true if no cell failed.
func Print(w io.Writer, results []Result, took time.Duration) (ok bool) {
	t := newTable(results)
	t.heads(w)
	for _, name := range t.cases {
		fmt.Fprintf(w, "%-*s", caseWidth, name)
		t.row(w, func(c, s *Language) string { return t.marks[key{name, c.Short, s.Short}] })
	}
	for i, why := range t.legend {
		fmt.Fprintf(w, "\n%s  %s", letter(i), why)
	}
	if len(t.legend) > 0 {
		fmt.Fprintln(w)
	}
	count := map[string]int{}
	for _, r := range results {
		switch {
		case r.Gap != "":
			count[missing]++
		case r.Err != nil:
			count[failed]++
			fmt.Fprintf(w, "\nFAIL %v: %v\n", r.Cell, r.Err)
		default:
			count[passed]++
		}
	}
	fmt.Fprintf(w, "\n%d cells cannot exist, in %v\n%d passed, %d failed\n", count[missing], took.Round(time.Second), count[passed], count[failed])
	return count[failed] == 0
}

// key is a position in the table.
type key struct{ name, client, server string }

type table struct {
	cases            []string
	clients, servers []*Language
	marks            map[key]string
	legend           []string
}

func newTable(results []Result) *table {
	t := &table{marks: map[key]string{}}
	for _, r := range results {
		c := r.Cell
		t.cases, t.clients, t.servers = with(t.cases, c.Case.Name), with(t.clients, c.Client), with(t.servers, c.Server)
		t.marks[key{c.Case.Name, c.Client.Short, c.Server.Short}] = t.mark(r)
	}
	return t
}

func with[T comparable](list []T, one T) []T {
	if slices.Contains(list, one) {
		return list
	}
	return append(list, one)
}

// mark returns what the table shows for a result.
func (t *table) mark(r Result) string {
	switch {
	case r.Gap != "":
		return t.explain(r.Gap)
	case r.Err != nil:
		return failed
	case r.Cell.remark() != "":
		return passed + t.explain(r.Cell.remark())
	default:
		return passed
	}
}

// explain returns the letter of an explanation.
func (t *table) explain(why string) string {
	t.legend = with(t.legend, why)
	return letter(slices.Index(t.legend, why))
}

func letter(n int) string { return "(" + "abcdefghijklmnopqrstuvwxyz"[n:n+1] + ")" }

func (t *table) heads(w io.Writer) {
	fmt.Fprintf(w, "%-*s", caseWidth, "server")
	width := caseWidth
	for _, s := range t.servers {
		fmt.Fprintf(w, "  %-*s", t.group(s)-2, s.Name)
		width += t.group(s)
	}
	fmt.Fprintf(w, "\n%-*s", caseWidth, "client")
	t.row(w, func(c, _ *Language) string { return c.Short })
	fmt.Fprintln(w, strings.Repeat("-", width))
}

// group returns the width of the columns of one server.
func (t *table) group(s *Language) int { return max(cellWidth*len(t.clients), len(s.Name)+1) + 1 }

// row prints a cell for each pair, and ends the line.
func (t *table) row(w io.Writer, cell func(client, server *Language) string) {
	for _, s := range t.servers {
		var group strings.Builder
		for _, c := range t.clients {
			fmt.Fprintf(&group, " %-*s", cellWidth-1, cell(c, s))
		}
		fmt.Fprintf(w, " %-*s", t.group(s)-1, group.String())
	}
	fmt.Fprintln(w)
}
