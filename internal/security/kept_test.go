package security

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/tlstest"
)

// frame returns an HTTP/2 frame with a payload of this size.
func frame(size int) []byte {
	return append([]byte{byte(size >> 16), byte(size >> 8), byte(size), 0, 0, 0, 0, 0, 1}, make([]byte, size)...)
}

// secured returns both ends of a connection between two transports.
func secured(t *testing.T, config *Trust) (client, server net.Conn) {
	t.Helper()
	accept, err := config.Server()
	if err != nil {
		t.Fatal(err)
	}
	here, there := connected(t)
	ended := make(chan error)
	go func() {
		var err error
		server, _, err = accept.ServerHandshake(there)
		ended <- err
	}()
	client, _, err = config.Client().ClientHandshake(context.Background(), "localhost", here)
	if err := errors.Join(err, <-ended); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.Close()
		_ = server.Close()
	})
	return client, server
}

// The frame that drains a connection is inserted once, between two other frames, however they are
// split. Everything else passes unchanged.
func TestDrainComesBetweenFrames(t *testing.T) {
	config, _ := open(t, tlstest.New(t).Local("localhost").Write(t.TempDir()))
	for range 20 {
		client, server := secured(t, config)
		var frames []byte
		for range 20 {
			frames = append(frames, frame(rand.IntN(40))...)
		}
		drained := client
		if rand.IntN(2) == 0 {
			drained = server
		}
		go func() {
			rest := frames
			for i := 0; len(rest) > 0; i++ {
				if i == 3 {
					drained.(*kept).drain()
				}
				n := min(len(rest), 1+rand.IntN(30))
				_, _ = server.Write(rest[:n])
				rest = rest[n:]
				time.Sleep(time.Duration(rand.IntN(2)) * time.Millisecond)
			}
			_, _ = server.Write(frame(0))
		}()
		var got []byte
		for b := make([]byte, 1+rand.IntN(64)); len(got) < len(frames)+frameHeader+len(goAway); {
			n, err := client.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, b[:n]...)
		}
		at := bytes.Index(got, goAway)
		if at < 0 {
			t.Fatal("it is not there")
		}
		var follow framing
		for n := 0; n < at; {
			n += follow.advance(got[n:at])
		}
		if !follow.between() {
			t.Error("it is within another frame")
		}
		if rest := append(bytes.Clone(got[:at]), got[at+len(goAway):]...); !bytes.Equal(rest, append(frames, frame(0)...)) {
			t.Error("what passes is changed")
		}
	}
}

// A connection to a program that ignores the drain is closed after the grace period.
func TestClosedAfterGrace(t *testing.T) {
	config, _ := open(t, tlstest.New(t).Local("localhost").Write(t.TempDir()))
	client, server := secured(t, config)
	k := server.(*kept) //nolint:forcetypeassert // It has a certificate.
	late := k.until.Add(time.Second)
	s := config.held.last()
	config.forget(k) // only this test reviews it
	k.review(late.Add(-2*time.Second), s)
	if !k.lostAt.IsZero() {
		t.Fatal("it is lost too early")
	}
	k.review(late, s)
	if _, err := server.Write(frame(0)); err != nil {
		t.Fatalf("it is closed at once: %v", err)
	}
	k.review(late.Add(config.grace()), s)
	if _, err := io.Copy(io.Discard, client); err != nil {
		t.Errorf("it does not end: %v", err)
	}
}
