// Package hello tests the program that the README shows.
package hello

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// The README shows the programs as they are here, without their first comment and package clause.
func TestReadmeShowsThePrograms(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"server/main.go", "client/main.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, body, _ := strings.Cut(string(source), "\n)\n\n") // the end of the imports
		if !strings.Contains(string(readme), strings.TrimSpace(body)) {
			t.Errorf("the README does not show %s as it is", file)
		}
	}
}

func TestServerAndClient(t *testing.T) {
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir, "./server", "./client")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	server := exec.Command(filepath.Join(dir, "server"))
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}()
	// The client waits for the server by itself.
	out, err := exec.Command(filepath.Join(dir, "client")).CombinedOutput()
	if got := string(out); err != nil || got != "hello you <nil>\n" {
		t.Errorf("the client printed %q, %v", got, err)
	}
}
