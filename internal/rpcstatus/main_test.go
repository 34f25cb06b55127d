package rpcstatus

import (
	"encoding/base64"
	"testing"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/leak"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

func TestMain(m *testing.M) { leak.Main(m) }

// arrivedDetail returns the detail of a status as it arrives.
func arrivedDetail(t *testing.T, st *status.Status) *pb.ErrorDetail {
	t.Helper()
	for _, d := range arrived(t, st).Details() {
		if detail, ok := d.(*pb.ErrorDetail); ok {
			return detail
		}
	}
	t.Fatalf("there is no detail in %v", st)
	return nil
}

// arrived returns a status as the receiver sees it.
func arrived(t *testing.T, st *status.Status) *status.Status {
	t.Helper()
	b, err := proto.Marshal(st.Proto())
	if err != nil {
		t.Fatalf("the status cannot be sent: %v", err)
	}
	p := st.Proto()
	proto.Reset(p)
	if err := proto.Unmarshal(b, p); err != nil {
		t.Fatal(err)
	}
	return status.FromProto(p)
}

// checkSize fails the test if a status exceeds the limits, by itself or as metadata.
func checkSize(t *testing.T, st *status.Status) {
	t.Helper()
	size := proto.Size(st.Proto())
	if size > 4<<10 {
		t.Errorf("the status has %d bytes", size)
	}
	text := 0
	for _, r := range []byte(st.Message()) {
		if text++; r < ' ' || r > '~' || r == '%' {
			text += 2
		}
	}
	const headers = 512 // what else is in the trailer, and what HTTP/2 counts for each name
	if metadata := base64.StdEncoding.EncodedLen(size) + text + headers; metadata > 8<<10 {
		t.Errorf("the status takes %d bytes of metadata", metadata)
	}
}
