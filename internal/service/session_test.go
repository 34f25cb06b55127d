package service

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/payload"
	"github.com/oslorpc/oslorpc/internal/wire"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// sessionClient is one stream of a session, whose client the test controls.
type sessionClient struct {
	grpc.BidiStreamingClient[pb.SessionRequest, pb.SessionResponse]

	opened *pb.SessionOpened
	more   []*pb.SessionResponse // that came with the last one
}

// openSession opens a stream and waits for the answer.
func openSession(ctx context.Context, c pb.RPCServiceClient, open *pb.SessionOpen) (*sessionClient, error) {
	stream, err := c.Session(ctx)
	if err != nil {
		return nil, err
	}
	s := &sessionClient{BidiStreamingClient: stream}
	s.send(&pb.SessionRequest_Open{Open: open})
	r, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	s.opened = r.GetOpened()
	return s, nil
}

// send sends a frame. If the stream has ended, receiving returns the reason.
func (s *sessionClient) send(frame any) {
	r := &pb.SessionRequest{}
	switch f := frame.(type) {
	case *pb.SessionRequest_Open:
		r.Frame = f
	case *pb.SessionRequest_Message:
		r.Frame = f
	case *pb.SessionRequest_Cancel:
		r.Frame = f
	case *pb.SessionRequest_Taken:
		r.Frame = f
	case *pb.SessionRequest_Heartbeat:
		r.Frame = f
	}
	_ = s.Send(r)
}

// sendRaw sends arbitrary bytes.
func (s *sessionClient) sendRaw(b []byte) {
	r := &pb.SessionRequest{}
	r.ProtoReflect().SetUnknown(b)
	_ = s.Send(r)
}

// Recv receives the next frame.
func (s *sessionClient) Recv() (*pb.SessionResponse, error) {
	if len(s.more) == 0 {
		r, err := s.BidiStreamingClient.Recv()
		if err != nil {
			return nil, err
		}
		s.more = append([]*pb.SessionResponse{r}, r.GetMore()...)
	}
	r := s.more[0]
	s.more = s.more[1:]
	return r, nil
}

// message sends a message with some arguments.
func (s *sessionClient) message(seq uint64, m *pb.Message) {
	s.send(&pb.SessionRequest_Message{Message: &pb.SessionMessage{Seq: seq, Message: m}})
}

// result returns the next result, even if it arrives in parts.
func (s *sessionClient) result() (*pb.SessionResult, error) {
	var parts []byte
	for {
		r, err := s.Recv()
		switch {
		case err != nil:
			return nil, err
		case r.GetResult() != nil:
			return r.GetResult(), nil
		case r.GetPart() != nil:
			if parts = append(parts, r.GetPart().GetContent()...); uint64(len(parts)) == r.GetPart().GetSize() {
				whole := &pb.SessionResult{}
				return whole, proto.Unmarshal(parts, whole)
			}
		}
	}
}

// end ends the session and returns the error of the stream.
func (s *sessionClient) end() error {
	_ = s.CloseSend()
	for {
		if _, err := s.Recv(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// statusIn returns the error in a result, or nil if there is none.
func statusIn(r *pb.SessionResult) error {
	st := &spb.Status{}
	if err := proto.Unmarshal(r.GetStatus(), st); err != nil {
		return err
	}
	return status.FromProto(st).Err()
}

func idOf(text string) []byte { return []byte((text + strings.Repeat(" ", idSize))[:idSize]) }

// ask returns a message for a method.
func ask(method string) *pb.Message {
	return &pb.Message{Target: to("q"), Method: method, Kwargs: asJSON("{}")}
}

// holding is a process with methods that wait, return at once, and end their goroutine.
type holding struct {
	*fleet

	goOn  chan struct{} // lets the methods that wait return
	ended chan error    // why the contexts of those ended that did not
	began chan struct{}
}

func hold(t *testing.T) *holding {
	t.Helper()
	h := &holding{}
	h.fleet = serve(t, h.server(t))
	return h
}

// holdInMemory is like hold in a synctest bubble, with options of the services.
func holdInMemory(t *testing.T, options ...Option) *holding {
	t.Helper()
	h := &holding{}
	h.fleet = serveInMemory(t, options, h.server(t))
	return h
}

// server returns the server of the process.
func (h *holding) server(t *testing.T) *intake.Server {
	t.Helper()
	*h = holding{goOn: make(chan struct{}), ended: make(chan error, 2000), began: make(chan struct{}, 2000)}
	wait := func(ctx context.Context, _ payload.Raw) (any, error) {
		h.began <- struct{}{}
		select {
		case <-h.goOn:
			return "done", nil
		case <-ctx.Done():
			h.ended <- ctx.Err()
			return nil, ctx.Err()
		}
	}
	return newServer(t, "q", "net1", methods{
		"wait": function(wait),
		"echo": function(func(context.Context, payload.Raw) (any, error) { return 1, nil }),
		"exit": function(func(context.Context, payload.Raw) (any, error) { runtime.Goexit(); return nil, nil }),
	})
}

// Frames that the protocol does not allow end the stream and the session.
func TestHostileFrames(t *testing.T) {
	t.Parallel()
	echo := func(seq uint64) *pb.SessionRequest_Message {
		return &pb.SessionRequest_Message{Message: &pb.SessionMessage{Seq: seq, Message: foo()}}
	}
	for name, test := range map[string]struct {
		frames []any
		raw    []byte
	}{
		"no seq":              {frames: []any{echo(0)}},
		"the same seq":        {frames: []any{echo(1), echo(1)}},
		"a lower seq":         {frames: []any{echo(1 << 63), echo(1)}},
		"a second open":       {frames: []any{&pb.SessionRequest_Open{Open: &pb.SessionOpen{}}}},
		"taken too many":      {frames: []any{&pb.SessionRequest_Taken{Taken: &pb.SessionTaken{Count: 1}}}},
		"taken as many":       {frames: []any{&pb.SessionRequest_Taken{Taken: &pb.SessionTaken{Count: 1<<64 - 1}}}},
		"taken in a message":  {frames: []any{&pb.SessionRequest_Message{Message: &pb.SessionMessage{Seq: 1, Taken: 9, Message: foo()}}}},
		"a frame too large":   {raw: protowire.AppendBytes(protowire.AppendTag(nil, 99, protowire.BytesType), make([]byte, wire.MaxFrame))},
		"a message cut short": {raw: []byte{0x12, 0x02, 0x09, 0x01}},
		"a message too many":  {raw: bytes.Repeat([]byte{15<<3 | 2, 0}, 257)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serveWith(t, nil, newServer(t, "q", "net1", methods{"foo": function(func(context.Context, payload.Raw) (any, error) { return 1, nil })}))
			s, err := openSession(t.Context(), f, &pb.SessionOpen{Id: idOf("a")})
			if err != nil {
				t.Fatal(err)
			}
			for _, frame := range test.frames {
				s.send(frame)
			}
			if test.raw != nil {
				s.sendRaw(test.raw)
			}
			for err == nil {
				_, err = s.Recv()
			}
			want := codes.InvalidArgument
			switch {
			case strings.HasPrefix(name, "a frame"):
				want = codes.ResourceExhausted // of gRPC
			case strings.HasPrefix(name, "a message"), name == "no seq":
				want = codes.Internal // of gRPC
			}
			if status.Code(err) != want {
				t.Errorf("the stream ends with %v", err)
			}
			again, err := openSession(t.Context(), f, &pb.SessionOpen{Id: idOf("a"), Resume: true})
			if err != nil || again.opened.GetResumed() {
				t.Errorf("the session goes on: %v, %v", again, err)
			}
		})
	}
}

// Frames without meaning do no harm.
func TestFramesWithoutMeaning(t *testing.T) {
	t.Parallel()
	h := hold(t)
	s, err := openSession(t.Context(), h, &pb.SessionOpen{Id: idOf("a"), Outstanding: []uint64{5, 1 << 63}})
	if err != nil || !slices.Equal(s.opened.GetForgotten(), nil) || s.opened.GetReceived() != 0 {
		t.Fatalf("got %v, %v", s, err)
	}
	s.send(&pb.SessionRequest_Cancel{Cancel: &pb.SessionCancel{Seq: 77}})
	s.send(&pb.SessionRequest_Cancel{})
	s.send(&pb.SessionRequest_Taken{})
	s.send(nil)
	s.sendRaw(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1))
	s.message(1<<64-1, ask("echo"))
	if r, err := s.result(); err != nil || r.GetSeq() != 1<<64-1 || r.GetResponse().GetResult().GetJson() != "1" {
		t.Errorf("got %v, %v", r, err)
	}
	if err := s.end(); err != nil {
		t.Error(err)
	}
}

// Frames that travel together are handled one after the other.
func TestFramesTogether(t *testing.T) {
	t.Parallel()
	h := hold(t)
	s, err := openSession(t.Context(), h, &pb.SessionOpen{Id: idOf("a")})
	if err != nil {
		t.Fatal(err)
	}
	message := func(seq uint64) *pb.SessionRequest {
		return &pb.SessionRequest{Frame: &pb.SessionRequest_Message{Message: &pb.SessionMessage{Seq: seq, Message: ask("echo")}}}
	}
	first := message(1)
	first.More = []*pb.SessionRequest{
		message(2), {Frame: &pb.SessionRequest_Cancel{Cancel: &pb.SessionCancel{Seq: 9}}}, {}, message(5),
	}
	if err := s.Send(first); err != nil {
		t.Fatal(err)
	}
	var got []uint64
	for range 3 {
		r, err := s.result()
		if err != nil || r.GetResponse().GetResult().GetJson() != "1" {
			t.Fatalf("got %v, %v", r, err)
		}
		got = append(got, r.GetSeq())
	}
	if slices.Sort(got); !slices.Equal(got, []uint64{1, 2, 5}) {
		t.Errorf("there are results of %v", got)
	}
	if err := s.end(); err != nil {
		t.Error(err)
	}
}

// A session begins with an open frame that has a new ID. Only this process has the session.
func TestOpeningASession(t *testing.T) {
	t.Parallel()
	h := hold(t)
	s, err := openSession(t.Context(), h, &pb.SessionOpen{Id: idOf("a"), BootId: "b1"})
	if err != nil || s.opened.GetBootId() != "b1" || !s.opened.GetResumed() || s.opened.GetCredit().GetMessages() == 0 {
		t.Fatalf("got %v, %v", s, err)
	}
	for name, open := range map[string]*pb.SessionOpen{
		"no id": {}, "a short id": {Id: []byte("a")}, "an id in use": {Id: idOf("a")},
	} {
		if _, err := openSession(t.Context(), h, open); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for name, open := range map[string]*pb.SessionOpen{
		"another process":                    {Id: idOf("b"), BootId: "b2"},
		"a session of another process":       {Id: idOf("a"), BootId: "b2", Resume: true},
		"a session that it does not have":    {Id: idOf("c"), BootId: "b1", Resume: true},
		"a session that no process ever had": {Id: idOf("d"), Resume: true},
	} {
		other, err := openSession(t.Context(), h, open)
		if err != nil || other.opened.GetResumed() || other.opened.GetBootId() != "b1" {
			t.Errorf("%s: got %v, %v", name, other, err)
			continue
		}
		if err := other.end(); err != nil {
			t.Errorf("%s: the stream ends with %v", name, err)
		}
	}
	stream, err := h.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = stream.Send(&pb.SessionRequest{Frame: &pb.SessionRequest_Heartbeat{}})
	if _, err := stream.Recv(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("without open, the stream ends with %v", err)
	}
}

// A client that sends without credit loses its session. Its messages are canceled.
func TestMoreThanTheCredit(t *testing.T) {
	t.Parallel()
	h := hold(t)
	s, err := openSession(t.Context(), h, &pb.SessionOpen{Id: idOf("a")})
	if err != nil {
		t.Fatal(err)
	}
	s.message(1, ask("wait"))
	<-h.began // else a busy machine may run none of them before the session ends
	for seq := range uint64(creditMessages + creditSlack) {
		s.message(seq+2, ask("wait"))
	}
	if _, err := s.result(); status.Code(err) != codes.InvalidArgument && status.Code(err) != codes.OK {
		t.Errorf("got %v", err)
	}
	if err := <-h.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("a method ended with %v", err)
	}
}

// If a stream breaks, another stream continues the session: running methods go on, results arrive,
// and the client learns which messages did not arrive.
func TestAnotherStream(t *testing.T) {
	t.Parallel()
	h := hold(t)
	ctx, cut := context.WithCancel(t.Context())
	s, err := openSession(ctx, h, &pb.SessionOpen{Id: idOf("a")})
	if err != nil {
		t.Fatal(err)
	}
	s.message(1, ask("wait"))
	s.message(2, ask("echo"))
	s.message(3, ask("wait"))
	<-h.began
	<-h.began
	if r, err := s.result(); err != nil || r.GetSeq() != 2 {
		t.Fatalf("got %v, %v", r, err)
	}
	cut()
	s, err = openSession(t.Context(), h, &pb.SessionOpen{Id: idOf("a"), Resume: true, Outstanding: []uint64{1, 2, 4}})
	if err != nil || !s.opened.GetResumed() || s.opened.GetReceived() != 3 || len(s.opened.GetForgotten()) != 0 {
		t.Fatalf("got %v, %v", s, err)
	}
	if r, err := s.result(); err != nil || r.GetSeq() != 2 || r.GetResponse().GetResult().GetJson() != "1" {
		t.Errorf("the result that may not have arrived: got %v, %v", r, err)
	}
	if err := <-h.ended; !errors.Is(err, context.Canceled) { // no caller waits for 3
		t.Errorf("got %v", err)
	}
	h.goOn <- struct{}{}
	if r, err := s.result(); err != nil || r.GetSeq() != 1 || r.GetResponse().GetResult().GetJson() != `"done"` {
		t.Errorf("got %v, %v", r, err)
	}
	s.send(&pb.SessionRequest_Taken{Taken: &pb.SessionTaken{Count: 2}})
	s, err = openSession(t.Context(), h, &pb.SessionOpen{Id: idOf("a"), Resume: true, Outstanding: []uint64{1, 2, 9}})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.opened.GetForgotten(); len(got) != 0 && !slices.Equal(got, []uint64{1, 2}) { // the second stream may have overtaken taken
		t.Errorf("forgotten: %v", got)
	}
	if err := s.end(); err != nil {
		t.Error(err)
	}
}

// A session belongs to its caller. Its ID alone gives no access.
func TestSessionOfAnotherCaller(t *testing.T) {
	t.Parallel()
	services := New(newIntake(nil))
	attach := func(name string, open *pb.SessionOpen) *session {
		a := &attachment{
			stream: discarding{}, ctx: t.Context(), of: t.Context(), ended: make(chan struct{}),
			peer: rpc.Peer{Identity: rpc.Identity{Proof: rpc.ProofTLS, Names: []string{name}}},
		}
		s, _ := services.attach(a, open)
		return s
	}
	mine := attach("spiffe://a", &pb.SessionOpen{Id: idOf("a")})
	if s := attach("spiffe://b", &pb.SessionOpen{Id: idOf("a"), Resume: true}); s != nil {
		t.Error("another caller has the session")
	}
	if s := attach("spiffe://a", &pb.SessionOpen{Id: idOf("a"), Resume: true}); s == nil || s != mine {
		t.Error("the caller does not have its session")
	}
	mine.Lock()
	mine.drop()
	mine.Unlock()
}

// discarding is a stream that discards what is sent.
type discarding struct{ grpc.ServerStream }

func (discarding) SendMsg(any) error { return nil }

// A cancellation reaches the method at once, and a deadline ends it.
func TestCancelAndDeadlineInASession(t *testing.T) {
	t.Parallel()
	h := hold(t)
	s, err := openSession(t.Context(), h, &pb.SessionOpen{Id: idOf("a")})
	if err != nil {
		t.Fatal(err)
	}
	s.message(1, ask("wait"))
	<-h.began
	s.send(&pb.SessionRequest_Cancel{Cancel: &pb.SessionCancel{Seq: 1}})
	if err := <-h.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if r, err := s.result(); err != nil || status.Code(statusIn(r)) == codes.OK {
		t.Errorf("got %v, %v", r, err)
	}
	s.send(&pb.SessionRequest_Message{Message: &pb.SessionMessage{Seq: 2, Message: ask("wait"), TimeoutNanos: uint64(time.Millisecond)}})
	if r, err := s.result(); err != nil || status.Code(statusIn(r)) != codes.DeadlineExceeded {
		t.Errorf("got %v, %v", r, err)
	}
	if err := s.end(); err != nil {
		t.Error(err)
	}
}

// The end of a session cancels running methods.
func TestEndOfASession(t *testing.T) {
	t.Parallel()
	h := hold(t)
	s, err := openSession(t.Context(), h, &pb.SessionOpen{Id: idOf("a")})
	if err != nil {
		t.Fatal(err)
	}
	s.message(1, ask("wait"))
	<-h.began
	if err := s.end(); err != nil {
		t.Error(err)
	}
	if err := <-h.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A process reports its sessions, the messages in them, and the results that it keeps.
func TestInfoOfSessions(t *testing.T) {
	t.Parallel()
	h := hold(t)
	sessions := func() *pb.SessionsInfo {
		t.Helper()
		info, err := h.GetInfo(t.Context(), &pb.GetInfoRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return info.GetSessions()
	}
	if s := sessions(); s != nil {
		t.Errorf("without any: %v", s)
	}
	s, err := openSession(t.Context(), h, &pb.SessionOpen{Id: idOf("a")})
	if err != nil {
		t.Fatal(err)
	}
	s.message(1, ask("wait"))
	s.message(2, ask("echo"))
	<-h.began
	if _, err := s.result(); err != nil {
		t.Fatal(err)
	}
	want := &pb.SessionsInfo{Open: 1, Running: 1, Kept: 1, Credit: creditMessages}
	if got := sessions(); !proto.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := s.end(); err != nil {
		t.Error(err)
	}
}

// Headers that contradict their message are refused like the headers of other RPCs, however the
// message is encoded.
func TestHeadersThatContradict(t *testing.T) {
	t.Parallel()
	h := hold(t)
	usual, other := ask("echo"), ask("echo")
	other.Kwargs = &pb.Payload{Encoding: &pb.Payload_Value{Value: structpb.NewStructValue(&structpb.Struct{})}}
	for _, test := range []struct {
		name, key, value string
		message          *pb.Message
		path             string
		refused          bool
	}{
		{"another topic", header.Topic, "r", usual, "", true},
		{"the same topic", header.Topic, "q", usual, "", false},
		{"another topic, in full", header.Topic, "r", other, "", true},
		{"the same topic, in full", header.Topic, "q", other, "", false},
		{"a server", header.Server, "net9", usual, "", true},
		{"an instance", header.Instance, "b1.x", usual, "", true},
		{"an id", header.ID, "1", usual, "", true},
		{"an order key", header.OrderKey, "k", usual, "", true},
		{"a version", header.Version, "9.9", usual, "", true},
		{"what cannot be read", header.Topic, "%zz", usual, "", true},
		{"a typed message", header.Topic, "r", usual, "/test.Service/Method", true},
	} {
		s, err := openSession(t.Context(), h, &pb.SessionOpen{Id: idOf(test.name)})
		if err != nil {
			t.Fatal(err)
		}
		s.send(&pb.SessionRequest_Message{Message: &pb.SessionMessage{
			Seq: 1, Message: test.message, Path: test.path, Headers: []*pb.SessionHeader{{Name: test.key, Value: []byte(test.value)}},
		}})
		r, err := s.result()
		if err != nil {
			t.Fatal(err)
		}
		if got := statusIn(r); (status.Code(got) == codes.InvalidArgument) != test.refused {
			t.Errorf("%s: got %v", test.name, got)
		}
		if err := s.end(); err != nil {
			t.Error(err)
		}
	}
}
