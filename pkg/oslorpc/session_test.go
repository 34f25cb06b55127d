package oslorpc_test

import (
	"context"
	"crypto/rand"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// A large result travels in parts, and small results overtake it.
func TestSmallResultsOvertakeLargeOnes(t *testing.T) {
	t.Parallel()
	i, _ := serve(t, "node1", newAgent("node1").endpoint("1.0")).Instance()
	conn, err := grpc.NewClient(i.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s, err := pb.NewRPCServiceClient(conn).Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	send := func(r *pb.SessionRequest) {
		if err := s.Send(r); err != nil {
			t.Fatal(err)
		}
	}
	message := func(seq uint64, method, kwargs string) {
		topic := "agents"
		send(&pb.SessionRequest{Frame: &pb.SessionRequest_Message{Message: &pb.SessionMessage{Seq: seq, Message: &pb.Message{
			Target: &pb.Target{Topic: &topic}, Method: method, Kwargs: &pb.Payload{Encoding: &pb.Payload_Json{Json: kwargs}},
		}}}})
	}
	send(&pb.SessionRequest{Frame: &pb.SessionRequest_Open{Open: &pb.SessionOpen{Id: []byte(rand.Text()[:16])}}})
	message(1, "large", `{"bytes":8000000}`)
	var got, size uint64
	for done := false; !done; {
		r, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if p := r.GetPart(); p != nil {
			if got == 0 {
				message(2, "whoami", "{}")
			}
			got, size = got+uint64(len(p.GetContent())), p.GetSize()
		}
		done = r.GetResult() != nil
	}
	if got == 0 || got >= size {
		t.Errorf("the small result came after %d of the %d bytes of the large one", got, size)
	}
	if err := s.CloseSend(); err != nil {
		t.Error(err)
	}
}

// Methods that occupy all workers of their server wait for answers. Receiving an answer needs no
// worker.
func TestAnswersNeedNoWorker(t *testing.T) {
	t.Parallel()
	const workers = 4 // of which one caller may have all
	serveOn(t, open(t), oslorpc.Target{Topic: "leaves", Server: "leaf"}, newAgent("leaf").endpoint("1.0"))
	relays := open(t, oslorpc.WithCarrier(rpc.CarrierSession))
	leaves := relays.Client(oslorpc.Target{Topic: "leaves"}, oslorpc.WithTimeout(30*time.Second))
	all, arrived := make(chan struct{}), sync.WaitGroup{}
	arrived.Add(workers)
	s := relays.Server(oslorpc.Target{Topic: "relays", Server: "relay"}, oslorpc.WithWorkers(workers))
	s.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"relay": oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (string, error) {
		arrived.Done()
		<-all // no worker is left
		return oslorpc.Call[string](ctx, leaves, "whoami", nil)
	})}})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := open(t, oslorpc.WithCarrier(rpc.CarrierSession)).Client(oslorpc.Target{Topic: "relays"}, oslorpc.WithTimeout(30*time.Second))
	var calls sync.WaitGroup
	for range workers {
		calls.Go(func() {
			if got, err := oslorpc.Call[string](t.Context(), c, "relay", nil); got != "leaf" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	arrived.Wait()
	close(all)
	calls.Wait()
}

// Both ends of a session keep nothing of finished messages: the slots of slices and maps are empty,
// and buffers are reused.
func TestHeapOfASession(t *testing.T) {
	const calls, together, size = 3000, 16, 24 << 10
	s := serve(t, "node1", newAgent("node1").endpoint("1.0"))
	c := open(t, oslorpc.WithCarrier(rpc.CarrierSession)).Client(oslorpc.Target{Topic: "agents"})
	send := func(n int) {
		text := strings.Repeat("x", size)
		var callers sync.WaitGroup
		for range together {
			callers.Go(func() {
				for range n / together {
					if _, err := oslorpc.Call[map[string]string](t.Context(), c, "echo", map[string]string{"text": text}); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		callers.Wait()
	}
	send(10 * together)
	i, _ := s.Instance()
	if !hasSession(t, open(t), i) {
		t.Fatal("there is no session")
	}
	before := inUse()
	send(calls)
	if more := inUse() - before; more > 4<<20 {
		t.Errorf("after %d calls of %d bytes each way, %d bytes more are in use", calls, size, more)
	}
}

// inUse returns the size of the reachable heap.
func inUse() int {
	for range 3 { // what pools keep goes with the second
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
