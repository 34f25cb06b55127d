//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package local

import (
	"encoding/json"
	"testing"

	"github.com/oslorpc/oslorpc/internal/golden"
)

// Implementations in other languages can read our files, and agree which files belong to processes.
func TestGoldenFiles(t *testing.T) {
	type file struct {
		Case   string          `json:"case"`
		File   json.RawMessage `json:"file"`
		Reads  bool            `json:"reads"`
		Writes json.RawMessage `json:"writes"`
	}
	cases := golden.Load[file](t, "registrations.json", "local_files")
	for n, c := range cases {
		list, err := decode(c.File)
		reads, writes := err == nil, json.RawMessage("null")
		if reads {
			if writes, err = encode(list); err != nil {
				t.Fatal(err)
			}
		}
		if !golden.Updating() && (reads != c.Reads || !golden.Equal(t, writes, c.Writes)) {
			t.Errorf("%s: read: %v, written: %s", c.Case, err, writes)
		}
		cases[n].Reads, cases[n].Writes = reads, writes
	}
	golden.Save(t, "registrations.json", "local_files", cases)
}

func TestGoldenFileNames(t *testing.T) {
	type name struct {
		Name    string `json:"name"`
		Process bool   `json:"process"`
		Temp    bool   `json:"temporary"`
		Socket  bool   `json:"socket"`
	}
	cases := golden.Load[name](t, "registrations.json", "local_names")
	for n, c := range cases {
		got := name{c.Name, isProcessFile(c.Name), isTempFile(c.Name), isSocket(c.Name)}
		if cases[n] = got; !golden.Updating() && got != c {
			t.Errorf("got %+v, want %+v", got, c)
		}
	}
	golden.Save(t, "registrations.json", "local_names", cases)
}
