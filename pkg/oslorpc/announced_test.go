package oslorpc_test

import (
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func TestInstanceOfAServer(t *testing.T) {
	t.Parallel()
	transport := open(t)
	s := transport.Server(oslorpc.Target{Topic: "topic", Server: "node1"})
	if i, running := s.Instance(); running {
		t.Errorf("before the start: %+v", i)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	listed, err := transport.Instances(t.Context())
	if err != nil || len(listed) != 1 {
		t.Fatalf("got %+v, %v", listed, err)
	}
	if i, running := s.Instance(); !running || i.ID != listed[0].ID || i.Addr != listed[0].Addr || i.Server != "node1" {
		t.Errorf("got %+v, and discovery has %+v", i, listed[0])
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if i, running := s.Instance(); running {
		t.Errorf("after the stop: %+v", i)
	}
}
