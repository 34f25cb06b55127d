package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/carrier/grpccarrier"
	"github.com/oslorpc/oslorpc/internal/carrier/session"
	"github.com/oslorpc/oslorpc/internal/connection"
	"github.com/oslorpc/oslorpc/internal/memnet"
	"github.com/oslorpc/oslorpc/internal/peer"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

type serverStream = grpc.BidiStreamingServer[pb.SessionRequest, pb.SessionResponse]

// scripted is a server whose sessions follow a script of the test. All calls outside sessions are
// answered.
type scripted struct {
	pb.UnimplementedRPCServiceServer

	session func(serverStream) error

	mu    sync.Mutex
	calls int // beside sessions
	opens int
}

// Call answers a call outside sessions.
func (s *scripted) Call(context.Context, *pb.CallRequest) (*pb.CallResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	return &pb.CallResponse{Result: jsonOf(`"unary"`)}, nil
}

// Session runs the script.
func (s *scripted) Session(stream serverStream) error {
	s.mu.Lock()
	s.opens++
	s.mu.Unlock()
	return s.session(&oneByOne{serverStream: stream})
}

// oneByOne is a stream that receives one frame at a time, even if frames travel together.
type oneByOne struct {
	serverStream

	waiting []*pb.SessionRequest
}

func (s *oneByOne) Recv() (*pb.SessionRequest, error) {
	if len(s.waiting) == 0 {
		r, err := s.serverStream.Recv()
		if err != nil {
			return nil, err
		}
		s.waiting = append([]*pb.SessionRequest{r}, r.GetMore()...)
	}
	r := s.waiting[0]
	s.waiting = s.waiting[1:]
	return r, nil
}

// counts returns how many calls arrived outside sessions, and how many streams of sessions there
// were.
func (s *scripted) counts() (calls, opens int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls, s.opens
}

func jsonOf(text string) *pb.Payload { return &pb.Payload{Encoding: &pb.Payload_Json{Json: text}} }

// world is a client and a scripted server.
type world struct {
	*testing.T
	*scripted

	key     carrier.Key
	network memnet.Network
	host    *memnet.Host
	server  *grpc.Server
	serving sync.WaitGroup
	carrier *session.Carrier
	link    carrier.Link
}

// play runs a test in a bubble with a scripted server and a connected link.
func play(t *testing.T, script func(serverStream) error, test func(*world), options ...grpc.ServerOption) {
	t.Helper()
	playAt(t, carrier.Key{Addr: "node1"}, script, test, options...)
}

// playAt is like play, with a server that is identified by a key.
func playAt(t *testing.T, key carrier.Key, script func(serverStream) error, test func(*world), options ...grpc.ServerOption) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, scripted: &scripted{session: script}, key: key}
		pings := grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: connection.MinPing, PermitWithoutStream: true})
		w.server = grpc.NewServer(append(options, pings)...)
		pb.RegisterRPCServiceServer(w.server, w.scripted)
		w.listen()
		inner := grpccarrier.New(grpccarrier.Config{Peers: peer.Config{Dial: w.network.Dial}, MaxSize: 1 << 20})
		w.carrier = session.New(inner, session.Config{Eager: true})
		w.link = w.carrier.Get(key)
		t.Cleanup(func() {
			w.carrier.Close()
			w.server.Stop()
			w.serving.Wait()
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := w.link.Connect(ctx); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		test(w)
	})
}

// listen makes the server listen. It may have listened before.
func (w *world) listen() {
	w.host = w.network.ListenAt(w.key.Addr)
	host := w.host
	w.serving.Go(func() { _ = w.server.Serve(host) }) // it ends when it is stopped
}

// call sends a call and returns its result.
func (w *world) call(ctx context.Context, kwargs string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := w.link.Enter(ctx, time.Second); err != nil {
		return "", err
	}
	defer w.link.Release()
	reply, err := w.link.Do(ctx, &carrier.Request{Target: rpc.Target{Topic: "q"}, Method: "m", Kwargs: kwargs})
	return reply.Result, err
}

// welcome answers the opening of a session.
func welcome(stream serverStream, change func(*pb.SessionOpened)) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	opened := &pb.SessionOpened{BootId: "b1", Resumed: true, Credit: &pb.SessionCredit{Messages: 100, Bytes: 1 << 16}}
	if change != nil {
		change(opened)
	}
	return stream.Send(&pb.SessionResponse{Frame: &pb.SessionResponse_Opened{Opened: opened}})
}

// next returns the next message.
func next(stream serverStream) (*pb.SessionMessage, error) {
	for {
		r, err := stream.Recv()
		if err != nil || r.GetMessage() != nil {
			return r.GetMessage(), err
		}
	}
}

func result(seq uint64, text string) *pb.SessionResponse {
	return &pb.SessionResponse{Frame: &pb.SessionResponse_Result{Result: &pb.SessionResult{
		Seq: seq, Outcome: &pb.SessionResult_Response{Response: &pb.CallResponse{Result: jsonOf(text)}},
	}}}
}

// drain receives until the stream ends.
func drain(stream serverStream) error {
	for {
		if _, err := stream.Recv(); err != nil {
			return nil //nolint:nilerr // The client has ended it.
		}
	}
}

// echo answers each message with its arguments.
func echo(stream serverStream) error {
	if err := welcome(stream, nil); err != nil {
		return err
	}
	for {
		m, err := next(stream)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(result(m.GetSeq(), m.GetMessage().GetKwargs().GetJson())); err != nil {
			return err
		}
	}
}

func TestMessagesShareAStream(t *testing.T) {
	t.Parallel()
	play(t, echo, func(w *world) {
		var calls sync.WaitGroup
		for n := range 100 {
			calls.Go(func() {
				want := fmt.Sprintf(`{"n":%d}`, n)
				if got, err := w.call(w.Context(), want); got != want || err != nil {
					w.Errorf("got %s, %v", got, err)
				}
			})
		}
		calls.Wait()
		if calls, opens := w.counts(); opens != 1 {
			w.Errorf("%d streams were opened, and %d calls came beside them", opens, calls)
		}
	})
}

// A server that does not support sessions, or that is another program, delays no message. The
// client does not ask it repeatedly.
func TestServersWithoutSessions(t *testing.T) {
	t.Parallel()
	refused := status.Error(codes.Unimplemented, "no")
	for name, script := range map[string]func(serverStream) error{
		"unimplemented":    func(serverStream) error { return refused },
		"ends at once":     func(serverStream) error { return nil },
		"resets":           func(serverStream) error { return status.Error(codes.Unavailable, "no") },
		"hangs":            func(stream serverStream) error { <-stream.Context().Done(); return nil },
		"ends when opened": func(stream serverStream) error { return welcome(stream, nil) },
		"fails when opened": func(stream serverStream) error {
			return errors.Join(welcome(stream, nil), status.Error(codes.Internal, "no"))
		},
		"answers something else": func(stream serverStream) error {
			_ = stream.Send(result(1, "1"))
			return drain(stream)
		},
		"gives no credit": func(stream serverStream) error {
			_ = welcome(stream, func(o *pb.SessionOpened) { o.Credit = &pb.SessionCredit{} })
			return drain(stream)
		},
		"says nothing of credit": func(stream serverStream) error {
			_ = welcome(stream, func(o *pb.SessionOpened) { o.Credit = nil })
			return drain(stream)
		},
		"has no such session": func(stream serverStream) error {
			return welcome(stream, func(o *pb.SessionOpened) { o.Resumed = false })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, script, func(w *world) {
				for range 600 {
					// A message that was put into a session just as it failed provably did not
					// arrive.
					if got, err := w.call(w.Context(), "{}"); (got != `"unary"` || err != nil) && !rpc.SafeToRetry(err) {
						w.Fatalf("got %s, %v", got, err)
					}
					time.Sleep(100 * time.Millisecond)
				}
				// The backoff allows seven, and further ones ask for the outcomes of messages.
				if _, opens := w.counts(); opens > 20 {
					w.Errorf("in a minute %d streams were opened", opens)
				}
			})
		})
	}
}

// A server that violates the protocol gets no more messages in the session. The messages that it
// has may have run.
func TestHostileServers(t *testing.T) {
	t.Parallel()
	part := func(seq, size uint64, content string) *pb.SessionResponse {
		return &pb.SessionResponse{Frame: &pb.SessionResponse_Part{Part: &pb.SessionPart{Seq: seq, Size: size, Content: []byte(content)}}}
	}
	for name, frames := range map[string][]*pb.SessionResponse{
		"a result of no message": {result(77, "1")},
		"a result of seq 0":      {result(0, "1")},
		"a second opened":        {{Frame: &pb.SessionResponse_Opened{Opened: &pb.SessionOpened{}}}},
		"a part of no message":   {part(77, 10, "a")},
		"an endless part":        {part(1, 1<<63, "a")},
		"an empty part":          {part(1, 10, "")},
		"too many parts":         {part(1, 2, "a"), part(1, 2, "bc")},
		"parts of nothing":       {part(1, 2, "ab")},
		"a frame too large":      {part(1, 1<<20, strings.Repeat("a", 1<<17))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := true
			play(t, func(stream serverStream) error {
				if !first {
					return status.Error(codes.Unimplemented, "no")
				}
				first = false
				if err := welcome(stream, nil); err != nil {
					return err
				}
				if _, err := next(stream); err != nil {
					return err
				}
				for _, f := range frames {
					if err := stream.Send(f); err != nil {
						return err
					}
				}
				return drain(stream)
			}, func(w *world) {
				_, err := w.call(w.Context(), "{}")
				if rpc.KindOf(err) != rpc.OutcomeUnknown || rpc.SafeToRetry(err) {
					w.Errorf("got %v", err)
				}
				if got, err := w.call(w.Context(), "{}"); got != `"unary"` || err != nil {
					w.Errorf("got %s, %v", got, err)
				}
			})
		})
	}
}

// Frames without meaning do no harm, and neither does a result that does not fit its message.
func TestStrangeServers(t *testing.T) {
	t.Parallel()
	failed, err := proto.Marshal(&spb.Status{})
	if err != nil {
		t.Fatal(err)
	}
	play(t, func(stream serverStream) error {
		if err := welcome(stream, nil); err != nil {
			return err
		}
		for _, outcome := range []*pb.SessionResult{
			{Outcome: &pb.SessionResult_Accepted{Accepted: &pb.CastResponse{}}}, {Outcome: &pb.SessionResult_Reply{}}, {},
			{Outcome: &pb.SessionResult_Status{Status: []byte("\xff")}}, {Outcome: &pb.SessionResult_Status{Status: failed}},
		} {
			m, err := next(stream)
			if err != nil {
				return err
			}
			for _, f := range []*pb.SessionResponse{
				{}, {Frame: &pb.SessionResponse_Received{Received: &pb.SessionReceived{Seq: 1 << 63}}}, {Frame: &pb.SessionResponse_Heartbeat{}},
				{Frame: &pb.SessionResponse_Credit{Credit: &pb.SessionCredit{Messages: 1<<32 - 1, Bytes: 1<<32 - 1}}},
			} {
				if err := stream.Send(f); err != nil {
					return err
				}
			}
			outcome.Seq = m.GetSeq()
			if err := stream.Send(&pb.SessionResponse{Frame: &pb.SessionResponse_Result{Result: outcome}}); err != nil {
				return err
			}
		}
		return drain(stream)
	}, func(w *world) {
		for range 5 {
			if got, err := w.call(w.Context(), "{}"); rpc.KindOf(err) != rpc.OutcomeUnknown || rpc.SafeToRetry(err) {
				w.Errorf("got %s, %v", got, err)
			}
		}
		if calls, opens := w.counts(); calls != 0 || opens != 1 {
			w.Errorf("%d calls came beside %d streams", calls, opens)
		}
	})
}

// When a stream breaks, the client asks for the outcomes of its messages, and reports them
// correctly.
func TestWhatBecameOfMessages(t *testing.T) {
	t.Parallel()
	var open *pb.SessionOpen
	streams := 0
	play(t, func(stream serverStream) error {
		if streams++; streams == 1 {
			if err := welcome(stream, nil); err != nil {
				return err
			}
			for range 4 {
				if _, err := next(stream); err != nil {
					return err
				}
			}
			return status.Error(codes.Unavailable, "it breaks")
		}
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		open = r.GetOpen()
		if err := stream.Send(&pb.SessionResponse{Frame: &pb.SessionResponse_Opened{Opened: &pb.SessionOpened{
			BootId: "b1", Resumed: true, Credit: &pb.SessionCredit{}, Received: 3, Forgotten: []uint64{2},
		}}}); err != nil {
			return err
		}
		for _, seq := range []uint64{1, 3} {
			if err := stream.Send(result(seq, fmt.Sprint(seq))); err != nil {
				return err
			}
		}
		return drain(stream)
	}, func(w *world) {
		var outcomes [4]string
		var calls sync.WaitGroup
		for n := range outcomes {
			calls.Go(func() {
				got, err := w.call(w.Context(), "{}")
				if outcomes[n] = got; err != nil {
					outcomes[n] = fmt.Sprint(rpc.KindOf(err), rpc.SafeToRetry(err))
				}
			})
			synctest.Wait()
		}
		calls.Wait()
		want := [4]string{"1", fmt.Sprint(rpc.OutcomeUnknown, false), "3", fmt.Sprint(rpc.Unreachable, true)}
		if outcomes != want {
			w.Errorf("got %q, want %q", outcomes, want)
		}
		if !open.GetResume() || open.GetBootId() != "b1" || len(open.GetOutstanding()) != 4 || len(open.GetId()) != 16 {
			w.Errorf("it asks with %v", open)
		}
	})
}

// A server that stops ends its sessions. Messages without a result were not accepted, and go to
// other servers.
func TestServerThatStops(t *testing.T) {
	t.Parallel()
	play(t, func(stream serverStream) error {
		if err := welcome(stream, nil); err != nil {
			return err
		}
		m, err := next(stream)
		if err != nil {
			return err
		}
		if _, err = next(stream); err != nil {
			return err
		}
		if err := stream.Send(&pb.SessionResponse{Frame: &pb.SessionResponse_Closing{}}); err != nil {
			return err
		}
		time.Sleep(time.Second)
		return stream.Send(result(m.GetSeq(), "1"))
	}, func(w *world) {
		first, second := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := w.call(w.Context(), "{}")
			first <- err
		}()
		synctest.Wait()
		go func() {
			_, err := w.call(w.Context(), "{}")
			second <- err
		}()
		synctest.Wait()
		if got, err := w.call(w.Context(), "{}"); got != `"unary"` || err != nil {
			w.Errorf("after closing: got %s, %v", got, err)
		}
		if err := <-first; err != nil {
			w.Errorf("the message that ran: %v", err)
		}
		if err := <-second; rpc.KindOf(err) != rpc.Refused || !rpc.SafeToRetry(err) {
			w.Errorf("the message that was not taken: %v", err)
		}
	})
}

// If a caller leaves, its message is canceled. A result that arrives nevertheless does no harm.
func TestCallersThatLeave(t *testing.T) {
	t.Parallel()
	canceled := make(chan uint64, 1)
	play(t, func(stream serverStream) error {
		if err := welcome(stream, nil); err != nil {
			return err
		}
		m, err := next(stream)
		if err != nil {
			return err
		}
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		canceled <- r.GetCancel().GetSeq()
		if err := stream.Send(result(m.GetSeq(), "1")); err != nil {
			return err
		}
		if m, err = next(stream); err != nil {
			return err
		}
		if err := stream.Send(result(m.GetSeq(), "2")); err != nil {
			return err
		}
		return drain(stream)
	}, func(w *world) {
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		if _, err := w.call(ctx, "{}"); rpc.KindOf(err) != rpc.Timeout || rpc.SafeToRetry(err) {
			w.Errorf("got %v", err)
		}
		if seq := <-canceled; seq != 1 {
			w.Errorf("the message %d was canceled", seq)
		}
		if got, err := w.call(w.Context(), "{}"); got != "2" || err != nil {
			w.Errorf("got %s, %v", got, err)
		}
	})
}

// A server that neither reads nor grants credit holds a bounded amount of memory, and no caller
// waits beyond its deadline. Other messages travel outside the session.
func TestServerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	play(t, func(stream serverStream) error {
		if err := welcome(stream, func(o *pb.SessionOpened) { o.Credit = &pb.SessionCredit{Messages: 1000, Bytes: 256 << 10} }); err != nil {
			return err
		}
		<-stream.Context().Done()
		return nil
	}, func(w *world) {
		const size = 30 << 10
		var calls sync.WaitGroup
		var late atomic.Int32
		for range 100 {
			calls.Go(func() {
				begun := time.Now()
				ctx, cancel := context.WithTimeout(w.Context(), time.Second)
				defer cancel()
				_, err := w.call(ctx, `{"a":"`+strings.Repeat("x", size)+`"}`)
				if time.Since(begun) > time.Second || err != nil && rpc.KindOf(err) != rpc.Timeout {
					w.Errorf("after %v: %v", time.Since(begun), err)
				}
				if err != nil {
					late.Add(1)
				}
			})
			synctest.Wait()
		}
		calls.Wait()
		if most := int32(256/30 + 1); late.Load() > most {
			w.Errorf("%d messages of 30 KiB were in the session, and %d are the credit", late.Load(), most)
		}
	})
}

// An idle session ends. If the server of a session is silent, the client asks on another stream.
func TestSilentSessions(t *testing.T) {
	t.Parallel()
	play(t, echo, func(w *world) {
		if got, err := w.call(w.Context(), "1"); got != "1" || err != nil {
			w.Errorf("got %s, %v", got, err)
		}
		time.Sleep(10 * time.Minute) // meanwhile the connection of this fixture is lost
		if got, err := w.call(w.Context(), "1"); got != "1" || err != nil {
			w.Errorf("got %s, %v: the message waits for a session that was lost", got, err)
		}
		synctest.Wait()
		if got, err := w.call(w.Context(), "1"); got != "1" || err != nil {
			w.Errorf("got %s, %v", got, err)
		}
		if _, opens := w.counts(); opens != 2 {
			w.Errorf("%d streams were opened", opens)
		}
	})
	streams := 0
	play(t, func(stream serverStream) error {
		if streams++; streams == 1 {
			_ = welcome(stream, nil)
			<-stream.Context().Done()
			return nil
		}
		if err := welcome(stream, func(o *pb.SessionOpened) { o.Received = 1 }); err != nil {
			return err
		}
		return errors.Join(stream.Send(result(1, "1")), drain(stream))
	}, func(w *world) {
		if got, err := w.call(w.Context(), "{}"); got != "1" || err != nil {
			w.Errorf("got %s, %v", got, err)
		}
	})
}

// A session leaves a connection that gRPC has replaced, for example because certificates changed.
// Its outstanding messages end there.
func TestReplacedConnection(t *testing.T) {
	t.Parallel()
	var ended atomic.Int32
	play(t, func(stream serverStream) error {
		if err := welcome(stream, nil); err != nil {
			return err
		}
		for {
			m, err := next(stream)
			if err != nil {
				if errors.Is(err, io.EOF) {
					ended.Add(1)
				}
				return err
			}
			text := m.GetMessage().GetKwargs().GetJson()
			go func() {
				if text == "2" {
					time.Sleep(20 * time.Second)
				}
				_ = stream.Send(result(m.GetSeq(), text)) // one at a time
			}()
		}
	}, func(w *world) {
		late := make(chan error, 1)
		go func() {
			got, err := w.call(w.Context(), "2")
			if got != "2" {
				err = errors.Join(err, fmt.Errorf("got %s", got))
			}
			late <- err
		}()
		time.Sleep(10 * time.Second)
		for _, want := range []string{"1", "1", "1"} {
			if got, err := w.call(w.Context(), "1"); got != want || err != nil {
				w.Errorf("got %s, %v, want %s", got, err, want)
			}
			synctest.Wait()
		}
		if _, opens := w.counts(); opens != 2 || ended.Load() != 0 {
			w.Errorf("%d streams were opened, and %d have ended", opens, ended.Load())
		}
		if err := <-late; err != nil {
			w.Error(err)
		}
		time.Sleep(time.Second)
		if n := ended.Load(); n != 1 {
			w.Errorf("the client ended %d streams, not the first", n)
		}
	}, grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: 8 * time.Second, MaxConnectionAgeGrace: 30 * time.Second}))
}

// maxHeld is how much memory a client may hold for a process that accepts nothing, when no caller
// waits. This covers the frames in gRPC and the network, which flow control limits, gRPC's state
// for them, and the remains of each message that was sent.
const maxHeld = 768 << 10

// A process that reads nothing or grants nothing costs bounded memory, however much is sent to it.
func TestMemoryForAServerThatTakesNothing(t *testing.T) {
	for name, credit := range map[string]*pb.SessionCredit{
		"reads nothing":  {Messages: 1000, Bytes: 256 << 10},
		"grants nothing": {},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(stream serverStream) error {
				if err := welcome(stream, func(o *pb.SessionOpened) { o.Credit = credit }); err != nil {
					return err
				}
				<-stream.Context().Done()
				return nil
			}, func(w *world) {
				const callers, size = 32, 30 << 10
				kwargs := `{"a":"` + strings.Repeat("x", size) + `"}`
				wave := func() {
					var calls sync.WaitGroup
					for range callers {
						calls.Go(func() {
							ctx, cancel := context.WithTimeout(w.Context(), 100*time.Millisecond)
							defer cancel()
							if _, err := w.call(ctx, kwargs); err != nil && rpc.KindOf(err) != rpc.Timeout {
								w.Error(err)
							}
						})
					}
					calls.Wait()
				}
				before := inUse()
				for range 100 {
					wave()
				}
				held := inUse() - before
				w.Logf("after %d messages, %d MiB in all, the client holds %d KiB", 100*callers, 100*callers*size>>20, held>>10)
				if held > maxHeld {
					w.Errorf("the client holds %d KiB, and at most %d are allowed", held>>10, maxHeld>>10)
				}
			})
		})
	}
}

// inUse returns the number of heap bytes in use.
func inUse() int {
	runtime.GC()
	runtime.GC() // the first one empties pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
