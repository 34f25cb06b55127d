package tunnel

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"

	"github.com/oslorpc/oslorpc/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

var errLost = errors.New("the stream is lost")

// wire is one end of an in-memory stream with a buffer of one frame.
type wire struct {
	out      chan<- []byte
	in       <-chan []byte
	cut      chan struct{} // closed when the stream is lost
	cutting  *sync.Once
	aborted  chan struct{}
	aborting sync.Once
}

func (w *wire) Send(frame []byte) error {
	if len(frame) == 0 || len(frame) > FrameSize {
		panic("a frame is empty or too large")
	}
	select {
	case <-w.cut:
		return errLost
	default:
	}
	select {
	case w.out <- bytes.Clone(frame):
		return nil
	case <-w.aborted:
		return errLost
	case <-w.cut:
		return errLost
	}
}

func (w *wire) Receive() ([]byte, error) {
	select {
	case frame, ok := <-w.in:
		if !ok {
			return nil, io.EOF
		}
		return frame, nil
	case <-w.aborted:
		return nil, errLost
	case <-w.cut:
		return nil, errLost
	}
}

func (w *wire) End() { close(w.out) }

func (w *wire) Abort() { w.aborting.Do(func() { close(w.aborted) }) }

func (w *wire) sever() { w.cutting.Do(func() { close(w.cut) }) }

// wires returns both ends of a stream.
func wires() (a, b *wire) {
	there, back := make(chan []byte, 1), make(chan []byte, 1)
	cut, once := make(chan struct{}), &sync.Once{}
	return &wire{out: there, in: back, cut: cut, cutting: once, aborted: make(chan struct{})},
		&wire{out: back, in: there, cut: cut, cutting: once, aborted: make(chan struct{})}
}

// pair returns both ends of a connection, and the stream below.
func pair() (a, b *Conn, below *wire) {
	x, y := wires()
	return New(x, "a", "b"), New(y, "b", "a"), x
}

func TestConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		a, b, _ := pair()
		return a, b, func() {
			a.Close()
			b.Close()
			<-a.Done()
			<-b.Done()
		}, nil
	})
}

// Data that was written before Close arrives, however slowly the other end reads.
func TestCloseSendsWhatWasWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b, _ := pair()
		sent := make([]byte, bufferSize)
		_, _ = rand.Read(sent)
		if _, err := a.Write(sent); err != nil {
			t.Fatal(err)
		}
		a.Close()
		var got []byte
		for part := make([]byte, 1000); ; time.Sleep(time.Millisecond) {
			n, err := b.Read(part)
			got = append(got, part[:n]...)
			if err != nil {
				if !errors.Is(err, io.EOF) {
					t.Error(err)
				}
				break
			}
		}
		if !bytes.Equal(got, sent) {
			t.Errorf("%d bytes arrived of %d", len(got), len(sent))
		}
		<-a.Done()
		<-b.Done()
		if a.Err() != nil || b.Err() != nil {
			t.Errorf("the ends say %v and %v", a.Err(), b.Err())
		}
	})
}

// A connection whose other end does not read buffers little, and ends at most lingerTime after
// Close.
func TestUnreadConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b, _ := pair()
		_ = a.SetWriteDeadline(time.Now().Add(time.Minute))
		n, err := a.Write(make([]byte, 1<<20))
		if !errors.Is(err, os.ErrDeadlineExceeded) || n > 2*bufferSize+4*FrameSize {
			t.Errorf("%d bytes were taken, and %v", n, err)
		}
		began := time.Now()
		a.Close()
		<-a.Done()
		if took := time.Since(began); took != lingerTime {
			t.Errorf("it took %v", took)
		}
		b.Close()
		<-b.Done()
	})
}

// A broken stream is an error at both ends after the data that had arrived, and never looks like a
// regular end.
func TestLostStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b, below := pair()
		if _, err := a.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		waiting := make(chan error, 1)
		go func() {
			_, err := io.ReadAll(a)
			waiting <- err
		}()
		synctest.Wait()
		below.sever()
		if err := <-waiting; !errors.Is(err, errLost) {
			t.Errorf("the end that waited got %v", err)
		}
		if got, err := io.ReadAll(b); string(got) != "hello" || !errors.Is(err, errLost) {
			t.Errorf("got %q, %v", got, err)
		}
		for _, c := range []*Conn{a, b} {
			<-c.Done()
			if _, err := c.Write([]byte("x")); !errors.Is(err, errLost) {
				t.Errorf("a later write: %v", err)
			}
			if !errors.Is(c.Err(), errLost) {
				t.Errorf("the reason is %v", c.Err())
			}
			if _, isNet := errors.AsType[net.Error](c.Err()); !isNet {
				t.Errorf("%v is no error of a network", c.Err())
			}
			c.Close()
		}
	})
}

// Close ends waiting operations at both ends.
func TestCloseWakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b, _ := pair()
		failures := make(chan error, 3)
		go func() {
			_, err := a.Read(make([]byte, 1))
			failures <- err
		}()
		go func() {
			_, err := a.Write(make([]byte, 1<<20))
			failures <- err
		}()
		synctest.Wait()
		a.Close()
		for range 2 {
			if err := <-failures; !errors.Is(err, net.ErrClosed) {
				t.Errorf("got %v", err)
			}
		}
		if _, err := io.Copy(io.Discard, b); err != nil {
			t.Error(err)
		}
		if _, err := b.Write([]byte("x")); err == nil {
			t.Error("the other end writes to a connection that is closed")
		}
		b.Close()
		<-a.Done()
		<-b.Done()
	})
}

func TestListener(t *testing.T) {
	t.Parallel()
	l := Listen("here")
	a, b, _ := pair()
	go l.Offer(a)
	if c, err := l.Accept(); c != net.Conn(a) || err != nil {
		t.Errorf("got %v, %v", c, err)
	}
	waiting := make(chan bool, 1)
	go func() { waiting <- l.Offer(b) }()
	l.Close()
	l.Close()
	if <-waiting || l.Offer(b) {
		t.Error("a listener that is closed took a connection")
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if l.Addr().String() != "here" || l.Addr().Network() != "tunnel" || a.RemoteAddr().String() != "b" || b.LocalAddr().String() != "b" {
		t.Error("the addresses are wrong")
	}
	a.Close()
	<-a.Done()
	<-b.Done()
	c, d, below := pair()
	below.sever()
	if Listen("there").Offer(c) {
		t.Error("a connection was taken where nothing accepts")
	}
	d.Close()
	<-d.Done()
}

// Abort ends a connection at once, whatever the other end does.
func TestAbort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b, _ := pair()
		go func() { _, _ = a.Write(make([]byte, 1<<20)) }()
		synctest.Wait()
		began := time.Now()
		a.Abort()
		<-a.Done()
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
		b.Close()
		<-b.Done()
	})
}

// FuzzConn sends bytes in parts of any size. They arrive completely and in order.
func FuzzConn(f *testing.F) {
	f.Add([]byte{1, 200, 0, 7}, uint16(3))
	f.Add([]byte{255, 255, 255}, uint16(70))
	f.Fuzz(func(t *testing.T, parts []byte, reads uint16) {
		a, b, _ := pair()
		var sent []byte
		for i, n := range parts {
			sent = append(sent, bytes.Repeat([]byte{byte(i)}, int(n)*300)...)
		}
		go func() {
			left := sent
			for _, n := range parts {
				if _, err := a.Write(left[:int(n)*300]); err != nil {
					t.Error(err)
				}
				left = left[int(n)*300:]
			}
			a.Close()
		}()
		var got []byte
		part := make([]byte, int(reads)+1)
		for {
			n, err := b.Read(part)
			got = append(got, part[:n]...)
			if err != nil {
				break
			}
		}
		b.Close()
		<-a.Done()
		<-b.Done()
		if !bytes.Equal(got, sent) {
			t.Errorf("%d bytes arrived of %d, or others", len(got), len(sent))
		}
	})
}
