package inbound

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/oslorpc/oslorpc/internal/limits"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// script is a connection that returns the given bytes in arbitrary parts, and records what is
// written.
type script struct {
	net.Conn

	in, out bytes.Buffer
	random  *rand.Rand
	woken   bool
}

// Read returns a part of the remaining bytes.
func (s *script) Read(b []byte) (int, error) {
	if s.woken {
		return 0, os.ErrDeadlineExceeded
	}
	return s.in.Read(b[:min(len(b), 1+s.random.IntN(40))])
}

// Write records b.
func (s *script) Write(b []byte) (int, error) { return s.out.Write(b) }

// SetReadDeadline records whether the deadline is in the past.
func (s *script) SetReadDeadline(t time.Time) error {
	s.woken = !t.IsZero()
	return nil
}

func guarded(t *testing.T, seed uint64, l rpc.Limits) (*guard, *script) {
	t.Helper()
	s := &script{random: rand.New(rand.NewPCG(seed, 1))}
	b := limits.New(l.WithDefaults(), slog.New(slog.DiscardHandler))
	g := newGuard(s, b, b.Join("", "192.0.2.1"))
	t.Cleanup(g.close)
	return g, s
}

// list returns the headers of the frames in a stream of bytes.
func list(t *testing.T, b []byte) (all []http2.FrameHeader) {
	t.Helper()
	f := http2.NewFramer(io.Discard, bytes.NewReader(b))
	for {
		frame, err := f.ReadFrame()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("after %d frames: %v", len(all), err)
		}
		all = append(all, frame.Header())
	}
}

// writeCut writes b in parts, as gRPC does, and calls f between the parts.
func writeCut(t *testing.T, g *guard, random *rand.Rand, b []byte, f func()) {
	t.Helper()
	for len(b) > 0 {
		n := min(len(b), 1+random.IntN(30))
		if written, err := g.Write(b[:n]); err != nil || written != n {
			t.Fatal(written, err)
		}
		b = b[n:]
		f()
	}
}

// answers returns frames that a server may write, for streams 1 to 9.
func answers(random *rand.Rand) []byte {
	var b bytes.Buffer
	f := http2.NewFramer(&b, nil)
	for range 30 {
		id := uint32(1 + 2*random.IntN(5))
		switch random.IntN(5) {
		case 0:
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: make([]byte, random.IntN(20))})
			_ = f.WriteContinuation(id, true, make([]byte, random.IntN(20)))
		case 1:
			_ = f.WriteData(id, false, make([]byte, random.IntN(50)))
		case 2:
			_ = f.WriteWindowUpdate(id, 1+random.Uint32N(100))
		case 3:
			_ = f.WritePing(true, [8]byte{})
		case 4:
			_ = f.WriteWindowUpdate(0, 1)
		}
	}
	return b.Bytes()
}

// A connection may be closed while a read of it returns the beginning of an RPC.
func TestGuardReadsAfterClose(t *testing.T) {
	g, s := guarded(t, 1, rpc.Limits{})
	s.in.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&s.in, nil)
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: make([]byte, 10)})
	_ = f.WriteData(1, true, make([]byte, 10))
	_ = f.WriteRSTStream(1, http2.ErrCodeCancel)
	g.close()
	if n, err := io.Copy(io.Discard, g); n == 0 || err != nil {
		t.Fatal(n, err)
	}
	if len(g.open) > 0 {
		t.Errorf("%d streams are open after the connection was closed", len(g.open))
	}
}

// However gRPC splits its writes, they arrive unchanged, with the guard's frames between gRPC's
// frames.
func TestGuardPutsFramesBetween(t *testing.T) {
	for seed := range uint64(300) {
		g, s := guarded(t, seed, rpc.Limits{})
		b := answers(s.random)
		sent := 0
		writeCut(t, g, s.random, b, func() {
			if s.random.IntN(4) == 0 {
				g.send(number(typeReset, 101, codeEnhanceYourCalm))
				sent++
			}
		})
		all := list(t, s.out.Bytes())
		own := slices.DeleteFunc(slices.Clone(all), func(h http2.FrameHeader) bool { return h.StreamID != 101 })
		rest := slices.DeleteFunc(all, func(h http2.FrameHeader) bool { return h.StreamID == 101 })
		if len(own) != sent || !slices.Equal(rest, list(t, b)) {
			t.Fatalf("seed %d: %d of %d frames of ours, and of gRPC %v", seed, len(own), sent, rest)
		}
	}
}

// The window updates of a waiting request are held back until its claim is granted. All other
// frames pass.
func TestGuardKeepsWindowsBack(t *testing.T) {
	for seed := range uint64(300) {
		g, s := guarded(t, seed, rpc.Limits{})
		waiting := &stream{waits: true}
		g.open[3], g.streams[3] = struct{}{}, waiting
		b := answers(s.random)
		writeCut(t, g, s.random, b, func() {})
		isKept := func(h http2.FrameHeader) bool { return h.StreamID == 3 && h.Type == http2.FrameWindowUpdate }
		want, kept := list(t, b), uint32(0)
		f := http2.NewFramer(io.Discard, bytes.NewReader(b))
		for range want {
			frame, _ := f.ReadFrame()
			if w, ok := frame.(*http2.WindowUpdateFrame); ok && w.StreamID == 3 {
				kept += w.Increment
			}
		}
		want = slices.DeleteFunc(want, isKept)
		if got := list(t, s.out.Bytes()); !slices.Equal(got, want) || waiting.kept != kept {
			t.Fatalf("seed %d: kept %d of %d, and %v", seed, waiting.kept, kept, got)
		}
	}
}

// However the peer's data is split, gRPC reads it unchanged, with resets between its frames as soon
// as a frame has ended.
func TestGuardResetsBetweenFrames(t *testing.T) {
	for seed := range uint64(300) {
		g, s := guarded(t, seed, rpc.Limits{})
		b := answers(s.random)
		s.in.WriteString(http2.ClientPreface)
		s.in.Write(b)
		var got bytes.Buffer
		resets := 0
		for {
			if resets < 5 && s.random.IntN(8) == 0 {
				g.mu.Lock()
				g.reset(201, limits.Unfinished)
				g.mu.Unlock()
				resets++
			}
			part := make([]byte, 1+s.random.IntN(60))
			n, err := g.Read(part)
			got.Write(part[:n])
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		preface, frames := got.Next(prefaceSize), list(t, got.Bytes())
		own := slices.DeleteFunc(slices.Clone(frames), func(h http2.FrameHeader) bool { return h.StreamID != 201 })
		rest := slices.DeleteFunc(frames, func(h http2.FrameHeader) bool { return h.StreamID == 201 })
		if string(preface) != http2.ClientPreface || len(own) != resets || !slices.Equal(rest, list(t, b)) {
			t.Fatalf("seed %d: %d of %d resets, and %v", seed, len(own), resets, rest)
		}
	}
}

// An answer holds its claim until it is written, and the reservation for the next answer stays.
func TestAnswersAreReleasedWhenWritten(t *testing.T) {
	g, s := guarded(t, 1, rpc.Limits{})
	g.open[1] = struct{}{}
	claim := func(n int, reserve bool) {
		if err := g.claimAnswer(t.Context(), 1, n, reserve); err != nil {
			t.Fatal(err)
		}
	}
	write := func(n int, end bool) {
		var b bytes.Buffer
		if err := http2.NewFramer(&b, nil).WriteData(1, end, make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		writeCut(t, g, s.random, b.Bytes(), func() {})
	}
	want := func(n int64) {
		t.Helper()
		if got := g.budget.Answers.Used(); got != n {
			t.Errorf("%d bytes are in use, not %d", got, n)
		}
	}
	claim(100, false)
	claim(50, true)
	write(60, false)
	want(150)
	write(45, false) // with the prefix of gRPC
	want(50)
	if !g.takeReserved(1, 55) || g.takeReserved(1, 55) {
		t.Error("what was reserved is not taken once")
	}
	claim(30, false)
	want(80)
	write(1, true)
	want(0)
	if err := g.claimAnswer(t.Context(), 1, 10, false); err == nil {
		t.Error("a stream that is over has an answer")
	}
	want(0)
}

// A waiting answer ends with the RPC.
func TestAnswerWaitsForRoom(t *testing.T) {
	g, _ := guarded(t, 1, rpc.Limits{Memory: 400})
	g.open[1], g.open[3] = struct{}{}, struct{}{}
	if err := g.claimAnswer(t.Context(), 1, 100, false); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := g.claimAnswer(ctx, 3, 10, false); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("beyond the share: %v", err)
	}
}

// Answers that are not read are reset if, and only if, they hold back others.
func TestUnreadAnswersAreReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := guarded(t, 1, rpc.Limits{Memory: 400})
		g.in, g.open = frames{}, map[uint32]struct{}{1: {}, 3: {}}
		if err := g.claimAnswer(t.Context(), 1, 100, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if len(g.open) != 2 {
			t.Error("an answer was reset that holds back none")
		}
		if err := g.claimAnswer(t.Context(), 3, 10, false); err != nil {
			t.Error(err)
		}
		if _, open := g.open[1]; open || g.budget.Refusals()[limits.Unread] != 1 {
			t.Errorf("the stream is open: %v, %v", open, g.budget.Refusals())
		}
		g.close()
		time.Sleep(time.Minute)
	})
}

// BenchmarkGuard measures the cost of the guard for an ordinary call: frames that arrive, and
// frames that are written.
func BenchmarkGuard(b *testing.B) {
	budget := limits.New(rpc.Limits{}.WithDefaults(), slog.New(slog.DiscardHandler))
	g := newGuard(discard{}, budget, budget.Join("a", ""))
	g.in = frames{}
	var in, out bytes.Buffer
	from, to := http2.NewFramer(&in, nil), http2.NewFramer(&out, nil)
	const small, large = 20, 1 << 10
	_ = from.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: make([]byte, small), EndHeaders: true})
	_ = from.WriteData(1, true, make([]byte, large))
	_ = to.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: make([]byte, small), EndHeaders: true})
	_ = to.WriteData(1, false, make([]byte, large))
	_ = to.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: make([]byte, small), EndHeaders: true, EndStream: true})
	id := uint32(1)
	for b.Loop() {
		for _, place := range []int{0, headerSize + small} {
			binary.BigEndian.PutUint32(in.Bytes()[place+5:], id)
			binary.BigEndian.PutUint32(out.Bytes()[place+5:], id)
		}
		binary.BigEndian.PutUint32(out.Bytes()[2*headerSize+small+large+5:], id)
		g.taken(in.Bytes())
		_, _ = g.Write(out.Bytes())
		id += 2
	}
	if len(g.open)+len(g.streams) != 0 {
		b.Errorf("%d streams are open", len(g.open))
	}
}

// discard is a connection that accepts everything.
type discard struct{ net.Conn }

// Write discards b.
func (discard) Write(b []byte) (int, error) { return len(b), nil }
