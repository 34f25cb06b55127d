package look

import (
	"bytes"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// A name that a caller gives itself does not look like a name that it proved.
func TestCallersAreMarked(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	list := newCallerDocuments([]rpc.RequestCount{
		{Method: "a", Caller: "agent", Accepted: 1, LastSeen: at},
		{Method: "a", Caller: "agent", Identity: "spiffe://cloud/host/7", Accepted: 2, LastSeen: at},
		{Method: "b", Caller: "agent", Identity: "spiffe://cloud/host/7", Accepted: 3, Refused: 4, LastSeen: at.Add(time.Second)},
	})
	if len(list) != 2 || list[0].Proven || !list[1].Proven {
		t.Errorf("got %+v", list)
	}
	var b bytes.Buffer
	writeCallers(&b, list)
	want := "    CALLER  PROVED                 ACCEPTED  REFUSED  LAST SEEN\n" +
		"    agent   unproven               1         0        2026-01-02T03:04:05Z\n" +
		"    agent   spiffe://cloud/host/7  5         4        2026-01-02T03:04:06Z\n"
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}
