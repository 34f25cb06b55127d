package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const suffix = ".jsonl"

// Writer appends records to a file. It is safe for concurrent use: it writes each record as one
// line, with one write.
type Writer struct{ file *os.File }

// Create creates the file of a process in the directory of a run.
func Create(dir, process string) (*Writer, error) {
	file, err := os.OpenFile(filepath.Join(dir, process+suffix), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // The lab's own.
	return &Writer{file}, err
}

// Write appends a record. An incomplete history proves nothing, so a process that cannot write to
// it exits.
func (w *Writer) Write(r Record) {
	line, err := json.Marshal(r)
	if err == nil {
		_, err = w.file.Write(append(line, '\n'))
	}
	if err != nil {
		panic(fmt.Sprintf("the history cannot be written: %v", err))
	}
}

// Close closes the file.
func (w *Writer) Close() error { return w.file.Close() }

// History has the records of a run.
type History struct {
	Ups        []*Up
	Executions []*Execution
	Streams    []*Stream
	Operations []*Operation
	Exits      []*Exit
	Events     []*Event
	Excuses    []*Excuse
	Violations []*Violation
}

// Add adds a record.
func (h *History) Add(r Record) {
	add(&h.Ups, r.Up)
	add(&h.Executions, r.Execution)
	add(&h.Streams, r.Stream)
	add(&h.Operations, r.Operation)
	add(&h.Exits, r.Exit)
	add(&h.Events, r.Event)
	add(&h.Excuses, r.Excuse)
	add(&h.Violations, r.Violation)
}

func add[T any](to *[]*T, record *T) {
	if record != nil {
		*to = append(*to, record)
	}
}

// Read reads the history in a directory. It ignores an incomplete last line, which a killed process
// may leave.
func Read(dir string) (*History, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s has no history", dir)
	}
	h := new(History)
	for _, name := range files {
		if err := h.readFile(name); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return h, nil
}

func (h *History) readFile(name string) error {
	file, err := os.Open(name) //nolint:gosec // The lab's own.
	if err != nil {
		return err
	}
	defer file.Close()
	for lines := bufio.NewReaderSize(file, 1<<16); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var r Record
		if err := json.Unmarshal(line, &r); err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
		h.Add(r)
	}
}
