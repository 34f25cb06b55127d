package attack

import (
	"bytes"
	"crypto/rand"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/limits/limitstest"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

const (
	callPath      = "/oslorpc.v1.RPCService/Call"
	multicallPath = "/oslorpc.v1.RPCService/Multicall"

	// timesEnv makes the tests check how long other callers wait. This needs an idle machine.
	timesEnv = "OSLORPC_TEST_TIMES"

	maxPeak = 768 // MiB
	maxP99  = 250 * time.Millisecond
)

// check stops the callers and checks how the server coped.
func (s *server) check(t *testing.T, o *others) {
	t.Helper()
	o.stop()
	o.running.Wait()
	slices.Sort(o.took)
	if len(o.took) == 0 {
		t.Fatal("the other callers made no calls")
	}
	p99 := o.took[len(o.took)*99/100]
	peak := s.peak(t)
	t.Logf("peak %d MiB, %d calls, p50 %v, p99 %v, max %v, log:\n%s", peak, len(o.took), o.took[len(o.took)/2], p99, o.took[len(o.took)-1], s.text())
	if len(o.failures) > 0 {
		t.Errorf("%d of %d calls of other callers failed; the first error: %v", len(o.failures), len(o.took), o.failures[0])
	}
	if os.Getenv(timesEnv) != "" && (p99 > maxP99 || len(o.took) < 50) {
		t.Errorf("p99 of the %d calls of others is %v", len(o.took), p99)
	}
	if peak > maxPeak {
		t.Errorf("the server took %d MiB", peak)
	}
}

// attacker connects to a server from a separate address.
func attacker(t *testing.T, addr string, reads bool) *limitstest.Client {
	t.Helper()
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c, err := limitstest.Start(conn, reads)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// request returns a request for a method with arguments in JSON.
func request(method, kwargs string) []byte {
	b, err := proto.Marshal(&pb.CallRequest{Message: &pb.Message{
		Target: &pb.Target{Topic: new("topic")}, Method: method, Kwargs: &pb.Payload{Encoding: &pb.Payload_Json{Json: kwargs}},
	}})
	if err != nil {
		panic(err)
	}
	return b
}

// lasts is how long an attack is observed.
const lasts = 3 * time.Second

func TestUnfinishedRequests(t *testing.T) {
	s := start(t)
	o := s.use(t)
	c := attacker(t, s.addr, true)
	unfinished := append(limitstest.Prefix(17<<20), make([]byte, 17<<20-1)...)
	for range 200 {
		go func() {
			if id, err := c.Open(callPath); err == nil {
				_ = c.Send(id, unfinished, false)
			}
		}()
	}
	time.Sleep(lasts)
	s.check(t, o)
}

func TestHeaderLists(t *testing.T) {
	s := start(t)
	o := s.use(t)
	for range 120 {
		go func() {
			_, _ = attacker(t, s.addr, true).Open(callPath, slices.Repeat([]string{"x", strings.Repeat("x", 1<<10)}, 15<<10)...)
		}()
	}
	time.Sleep(lasts)
	s.check(t, o)
}

func TestUnreadAnswers(t *testing.T) {
	s := start(t)
	o := s.use(t)
	c := attacker(t, s.addr, false)
	for range 200 {
		if _, err := c.Request(callPath, request("big", "{}")); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(lasts)
	s.check(t, o)
}

// session opens a session, sends messages whose results are large, and reads nothing.
func session(t *testing.T, addr string, messages uint64) *limitstest.Client {
	t.Helper()
	c := attacker(t, addr, false)
	id, err := c.Open(pb.RPCService_Session_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	send := func(r *pb.SessionRequest) {
		b, err := proto.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Send(id, append(limitstest.Prefix(len(b)), b...), false); err != nil {
			t.Fatal(err)
		}
	}
	send(&pb.SessionRequest{Frame: &pb.SessionRequest_Open{Open: &pb.SessionOpen{Id: []byte(rand.Text()[:16])}}})
	for seq := range messages {
		send(&pb.SessionRequest{Frame: &pb.SessionRequest_Message{Message: &pb.SessionMessage{Seq: seq + 1, Message: &pb.Message{
			Target: &pb.Target{Topic: new("topic")}, Method: "big", Kwargs: &pb.Payload{Encoding: &pb.Payload_Json{Json: "{}"}},
		}}}})
	}
	return c
}

// Unread results of a session use a limited share of the memory for answers.
func TestUnreadSession(t *testing.T) {
	s := start(t)
	o := s.use(t)
	session(t, s.addr, 1000)
	time.Sleep(lasts)
	s.check(t, o)
}

// Results that are kept for sessions with lost connections are limited too, and do not block
// others.
func TestKeptResults(t *testing.T) {
	s := start(t)
	o := s.use(t)
	for range 20 {
		c := session(t, s.addr, 8)
		time.Sleep(lasts / 20)
		c.Close()
	}
	s.check(t, o)
}

func TestStreams(t *testing.T) {
	s := start(t)
	o := s.use(t)
	for range 20 {
		c := attacker(t, s.addr, true)
		for range 1000 {
			if _, err := c.Open(callPath); err != nil {
				t.Fatal(err)
			}
		}
	}
	time.Sleep(lasts)
	s.check(t, o)
}

// values returns a request whose arguments are n empty protobuf values in a list.
func values(n int) []byte {
	list := protowire.AppendBytes(protowire.AppendTag(nil, 6, protowire.BytesType), bytes.Repeat([]byte{0x0a, 0}, n)) // Value.list_value
	entry := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "a")
	entry = protowire.AppendBytes(protowire.AppendTag(entry, 2, protowire.BytesType), list)
	object := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), entry)    // Struct.fields
	value := protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), object)    // Value.struct_value
	payload := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), value)   // Payload.value
	message := protowire.AppendBytes(protowire.AppendTag(nil, 4, protowire.BytesType), payload) // Message.kwargs
	message = protowire.AppendString(protowire.AppendTag(message, 2, protowire.BytesType), "any")
	message = protowire.AppendBytes(protowire.AppendTag(message, 1, protowire.BytesType), protowire.AppendString(protowire.AppendTag(nil, 2, protowire.BytesType), "topic"))
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), message)
}

// flood sends requests concurrently from an attacker and returns how they ended.
func flood(t *testing.T, s *server, path string, n int, message []byte) (ends []limitstest.End) {
	t.Helper()
	c := attacker(t, s.addr, true)
	var mu sync.Mutex
	var sending sync.WaitGroup
	for range n {
		sending.Go(func() {
			id, err := c.Request(path, message)
			if err != nil {
				t.Error(err)
				return
			}
			end, err := c.Await(id, time.Minute)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			ends = append(ends, end)
		})
	}
	sending.Wait()
	return ends
}

// refuses checks that each request was refused as too large.
func refuses(t *testing.T, ends []limitstest.End) {
	t.Helper()
	for _, end := range ends {
		if !strings.Contains(end.Message, "when it is decoded") {
			t.Errorf("the request ended with %+v", end)
		}
	}
}

func TestEmptyValues(t *testing.T) {
	s := start(t)
	o := s.use(t)
	message := values(33 << 20 / 4)
	refuses(t, flood(t, s, callPath, 8, message))
	refuses(t, flood(t, s, multicallPath, 8, message))
	time.Sleep(lasts)
	s.check(t, o)
}

func TestEmptyObjects(t *testing.T) {
	s := start(t)
	o := s.use(t)
	text := `{"a":[` + strings.Repeat("{},", 16<<20/3-10) + `{}]}`
	refuses(t, flood(t, s, callPath, 8, request("any", text)))
	time.Sleep(lasts)
	s.check(t, o)
}

// Requests whose number of objects is just below the limit wait for each other.
func TestManyObjects(t *testing.T) {
	s := start(t)
	o := s.use(t)
	text := `{"a":[` + strings.Repeat("{},", 128<<20/134) + `{}]}`
	for _, end := range flood(t, s, callPath, 16, request("any", text)) {
		if end.Status != "0" {
			t.Errorf("the request ended with %+v", end)
		}
	}
	s.check(t, o)
}

// Calls without a deadline occupy no more than their caller's share of the workers.
func TestHeldWorkers(t *testing.T) {
	s := start(t)
	c := attacker(t, s.addr, true)
	for range 128 {
		if _, err := c.Request(callPath, request("hold", "{}")); err != nil {
			t.Fatal(err)
		}
	}
	o := s.use(t)
	time.Sleep(lasts)
	s.check(t, o)
}

// Multicalls that are never read occupy no more than their caller's share of the workers.
func TestUnreadMulticalls(t *testing.T) {
	s := start(t)
	c := attacker(t, s.addr, false)
	for range 128 {
		if _, err := c.Request(multicallPath, request("items", "{}")); err != nil {
			t.Fatal(err)
		}
	}
	o := s.use(t)
	time.Sleep(lasts)
	s.check(t, o)
}

// Silent connections do not lock out other clients, even on a server with few file descriptors.
func TestSilentConnections(t *testing.T) {
	s := start(t, "sh", "-c", `ulimit -n 256; exec "$0"`)
	for range 400 {
		conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext(t.Context(), "tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	o := s.use(t)
	time.Sleep(lasts)
	s.check(t, o)
}
