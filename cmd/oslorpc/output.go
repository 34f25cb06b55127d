package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// writeJSON writes v as one line of JSON.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// writeResult writes what a method returned as one line of JSON, in either form of output, so that a reader always knows
// what to parse.
func (p *program) writeResult(result oslorpc.Raw) error {
	var line bytes.Buffer
	if err := json.Compact(&line, []byte(result)); err != nil {
		return &oslorpc.Error{Kind: oslorpc.BadResult, Cause: err, Message: "the method ran, and its result is not JSON: " + err.Error()}
	}
	line.WriteByte('\n')
	_, err := p.out.Write(line.Bytes())
	return err
}

// The heads of columns that many tables have.
const (
	serverColumn   = "SERVER"
	addressColumn  = "ADDRESS"
	stateColumn    = "STATE"
	versionsColumn = "VERSIONS"
)

// writeTable writes rows with aligned columns, each line after an indent.
func writeTable(w io.Writer, indent string, rows [][]string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, text := range row {
			row[i] = cell(text)
		}
		fmt.Fprintln(table, indent+strings.Join(row, "\t"))
	}
	return table.Flush()
}

// cell returns text as it is in a table: never empty, so that columns can be counted.
func cell(text string) string {
	if text == "" {
		return "-"
	}
	return oneLine(text)
}

// oneLine returns s with its control characters escaped: what comes from elsewhere must not end the line, nor command the terminal.
func oneLine(s string) string {
	if !strings.ContainsFunc(s, unicode.IsControl) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsControl(r) {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
