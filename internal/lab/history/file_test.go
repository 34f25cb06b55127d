package history

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/oslorpc/oslorpc/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// Records that several processes and goroutines wrote are read, each once.
func TestRead(t *testing.T) {
	dir := t.TempDir()
	const goroutines, each = 8, 100
	for _, process := range []string{"c1", "s1"} {
		w, err := Create(dir, process)
		if err != nil {
			t.Fatal(err)
		}
		var writers sync.WaitGroup
		for range goroutines {
			writers.Go(func() {
				for range each {
					w.Write(Record{Execution: &Execution{ID: "call/c1/1", Process: process}})
				}
			})
		}
		writers.Wait()
		w.Write(Record{Exit: &Exit{Process: process}})
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	h, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Executions) != 2*goroutines*each || len(h.Exits) != 2 || len(h.Operations) != 0 {
		t.Errorf("%d executions, %d exits and %d operations were read", len(h.Executions), len(h.Exits), len(h.Operations))
	}
}

// A process that was killed leaves at most half a line, which is ignored.
func TestCutOffLine(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(dir, "s1")
	if err != nil {
		t.Fatal(err)
	}
	w.Write(Record{Execution: &Execution{ID: "call/c1/1"}})
	w.Write(Record{Execution: &Execution{ID: "call/c1/2"}})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "s1.jsonl")
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, info.Size()-5); err != nil {
		t.Fatal(err)
	}
	h, err := Read(dir)
	if err != nil || len(h.Executions) != 1 || h.Executions[0].ID != "call/c1/1" {
		t.Errorf("%v, %v; want only the first execution", h, err)
	}
}

// A file that is not a history is an error.
func TestNoHistory(t *testing.T) {
	if _, err := Read(t.TempDir()); err == nil {
		t.Error("an empty directory was read as a history")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "s1.jsonl"), []byte("garbage\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), "garbage") {
		t.Errorf("garbage: %v", err)
	}
}

func TestForms(t *testing.T) {
	for _, f := range Forms {
		if f.All() && f.Streams() {
			t.Errorf("%s is both a form for all servers and a stream", f)
		}
		if f.Casts() && f.Streams() {
			t.Errorf("%s is both a cast and a stream", f)
		}
	}
}
