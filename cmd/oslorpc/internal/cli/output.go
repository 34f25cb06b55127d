package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// WriteJSON writes v as one line of JSON.
func WriteJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// WriteResult writes the result of a method as one line of JSON, in either form of output.
func (p *Program) WriteResult(result oslorpc.Raw) error {
	var line bytes.Buffer
	if err := json.Compact(&line, []byte(result)); err != nil {
		return &oslorpc.Error{Kind: oslorpc.BadResult, Cause: err, Message: "the method ran, and its result is not JSON: " + err.Error()}
	}
	line.WriteByte('\n')
	_, err := p.Out.Write(line.Bytes())
	return err
}

// The titles of columns that many tables have.
const (
	ServerColumn   = "SERVER"
	AddressColumn  = "ADDRESS"
	StateColumn    = "STATE"
	VersionsColumn = "VERSIONS"
)

// WriteTable writes rows with aligned columns, each line after an indent.
func WriteTable(w io.Writer, indent string, rows [][]string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row)) // several tables may have the same first row
		for i, text := range row {
			cells[i] = Cell(text)
		}
		fmt.Fprintln(table, indent+strings.Join(cells, "\t"))
	}
	return table.Flush()
}

// Cell returns a text for a cell of a table. An empty text becomes a dash, so that programs can
// count columns.
func Cell(text string) string {
	if text == "" {
		return "-"
	}
	return OneLine(text)
}

// OptionalVersion formats a version. The result is empty for the zero version, which means that the
// server did not report one.
func OptionalVersion(v oslorpc.Version) string {
	if v == (oslorpc.Version{}) {
		return ""
	}
	return v.String()
}
