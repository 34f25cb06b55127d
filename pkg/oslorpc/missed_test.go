package oslorpc_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func TestMissedMessages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "registry")
	transport, err := oslorpc.Open("local://"+dir, oslorpc.WithStopGrace(0), oslorpc.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer transport.Close()
	told, ended := make(chan string, 10), make(chan struct{})
	s := transport.Server(oslorpc.Target{Topic: "agents", Server: "node1"},
		oslorpc.WithMissedMessages(func(ctx context.Context, reason string) {
			told <- reason
			<-ctx.Done()
			close(ended)
		}))
	s.Add(newAgent("node1").endpoint("1.0"))
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(dir + "/*.json")
	if err != nil || len(files) != 1 || len(told) != 0 {
		t.Fatalf("the registry has %q, %v, and %d lapses were told", files, err, len(told))
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if reason := <-told; reason == "" {
		t.Error("told without a reason")
	}
	wantStates(t, transport, "node1 active")
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	<-ended
}
