package novarpc_test

import (
	"testing"

	"github.com/oslorpc/oslorpc/examples/nova-rpc/novarpc"
)

func TestQueueIsShownAsInNova(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		queue novarpc.Queue
		want  string
	}{
		{novarpc.Topic("compute"), "compute"},
		{novarpc.Topic("compute.alt"), "compute.alt"},
		{novarpc.QueueGetFor("compute", "host1.example.org"), "compute.host1.example.org"},
		{novarpc.QueueGetFor("compute", ""), "compute"},
		{novarpc.Queue{}, ""},
	} {
		if got := test.queue.String(); got != test.want {
			t.Errorf("%#v is shown as %q, want %q", test.queue, got, test.want)
		}
	}
}

func TestQueuesThatLookAlikeDiffer(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]novarpc.Queue{
		{novarpc.Topic("a.b"), novarpc.QueueGetFor("a", "b")},
		{novarpc.QueueGetFor("a.b", "c"), novarpc.QueueGetFor("a", "b.c")},
	} {
		if pair[0].String() != pair[1].String() || pair[0] == pair[1] {
			t.Errorf("%#v and %#v: want queues that differ and look alike", pair[0], pair[1])
		}
	}
	if novarpc.QueueGetFor("a", "") != novarpc.Topic("a") {
		t.Error("without a host, the queue is not the topic's")
	}
}
