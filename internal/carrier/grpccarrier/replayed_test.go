package grpccarrier

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/peer"
	"github.com/oslorpc/oslorpc/internal/peer/peertest"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// TestRefusedTwice has a peer that refuses each RPC as not processed, and refuses it again before
// gRPC has rewritten its message. The message was not sent, so the RPC must neither succeed nor end
// as if the message may have run.
func TestRefusedTwice(t *testing.T) {
	t.Parallel()
	const typed, typedStream = 1, 2
	for name, kind := range map[string]struct {
		mode    carrier.Mode
		silence time.Duration
		typed   int
	}{
		"call":           {mode: carrier.Call},
		"cast":           {mode: carrier.Cast},
		"monitored call": {mode: carrier.Call, silence: time.Minute},
		"multicall":      {mode: carrier.Multicall},
		"typed call":     {mode: carrier.Call, typed: typed},
		"typed stream":   {mode: carrier.Multicall, typed: typedStream},
	} {
		for _, intercepted := range []bool{false, true} {
			t.Run(name+map[bool]string{true: " through interceptors"}[intercepted], func(t *testing.T) {
				t.Parallel()
				network := &peertest.Network{}
				listener := network.Listen("up")
				defer listener.Close()
				refused := make(chan struct{}, 1)
				go refuseTwice(listener, refused)
				// This option is only for the test, so the carrier must not see any option.
				c := New(Config{Peers: peer.Config{Dial: network.Dial, Options: []grpc.DialOption{grpc.WithStatsHandler(late(refused))}}})
				c.intercepted = intercepted
				link := c.Get(carrier.Key{Addr: "up"})
				defer c.Put(link)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := link.Connect(ctx); err != nil {
					t.Fatal(err)
				}

				r := &carrier.Request{Mode: kind.mode, Method: "m", Kwargs: "{}", Silence: kind.silence}
				if kind.typed > 0 {
					r.Typed = &carrier.Typed{
						Path: "/example.Volumes/Watch", Message: &pb.PingRequest{}, Result: &pb.PingResponse{}, ServerStreams: kind.typed == typedStream,
					}
				}
				var err error
				if r.Mode == carrier.Multicall {
					_, err = link.Open(ctx, r)
				} else {
					_, err = link.Do(ctx, r)
				}
				if rpc.KindOf(err) != rpc.Refused || !rpc.SafeToRetry(err) {
					t.Errorf("got %v, want an error that is safe to retry", err)
				}
			})
		}
	}
}

// refuseTwice refuses the first RPC of a connection when its message has arrived, and other RPCs
// when their headers have arrived. It reports each of the latter once the client has read the
// refusal.
func refuseTwice(listener net.Listener, refused chan<- struct{}) {
	conn, err := listener.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	f := http2.NewFramer(conn, conn)
	_, _ = io.CopyN(io.Discard, conn, int64(len(http2.ClientPreface)))
	_ = f.WriteSettings()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = f.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				_ = f.WritePing(true, frame.Data)
			} else {
				refused <- struct{}{}
			}
		case *http2.DataFrame:
			if frame.StreamID == 1 && frame.StreamEnded() {
				_ = f.WriteRSTStream(1, http2.ErrCodeRefusedStream)
			}
		case *http2.HeadersFrame:
			if frame.StreamID > 1 {
				_ = f.WriteRSTStream(frame.StreamID, http2.ErrCodeRefusedStream)
				_ = f.WritePing(false, [8]byte{})
			}
		}
	}
}

// late delays the message of an RPC that gRPC retries until the RPC was refused.
type late <-chan struct{}

type againKey struct{}

func (late) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, againKey{}, new(bool))
}

func (l late) HandleRPC(ctx context.Context, s stats.RPCStats) {
	again := ctx.Value(againKey{}).(*bool)
	switch s := s.(type) {
	case *stats.Begin:
		*again = s.IsTransparentRetryAttempt
	case *stats.OutHeader:
		if *again {
			<-l
		}
	}
}

func (late) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (late) HandleConn(context.Context, stats.ConnStats)                       {}
