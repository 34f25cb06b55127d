//go:build linux

package world

import (
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// listener listens on an address of the loopback interface until the world ends.
func (w *World) listener() net.Listener {
	l := w.listen()
	w.cleanup(func() { _ = l.Close() })
	return l
}

// OtherGRPC starts a gRPC server without our services, and returns its address.
func (w *World) OtherGRPC() string {
	l, s := w.listener(), grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(s, health.NewServer())
	go func() { _ = s.Serve(l) }() // until it is stopped
	w.cleanup(s.Stop)
	return l.Addr().String()
}

// OtherHTTP starts an HTTP server, and returns its address.
func (w *World) OtherHTTP() string {
	l, s := w.listener(), &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Minute}
	go func() { _ = s.Serve(l) }() // until it is closed
	w.cleanup(func() { _ = s.Close() })
	return l.Addr().String()
}

// Silent listens at an address, and sends nothing to clients that connect.
func (w *World) Silent() string { return w.listener().Addr().String() }

// Bad starts a peer that calls a function with each connection and then closes it. It returns the
// peer's address.
func (w *World) Bad(do func(net.Conn)) string {
	l := w.listener()
	var conns sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // it is closed
			}
			mu.Lock()
			open[conn] = true
			mu.Unlock()
			conns.Go(func() {
				do(conn)
				_ = conn.Close()
				mu.Lock()
				delete(open, conn)
				mu.Unlock()
			})
		}
	})
	w.cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for conn := range open {
			_ = conn.Close()
		}
		mu.Unlock()
		conns.Wait()
	})
	return l.Addr().String()
}

// BadPeers starts peers of many kinds, none of which may harm a message. They imitate HTTP/2 to
// different degrees.
func (w *World) BadPeers() []string {
	settings := func(conn net.Conn, s ...http2.Setting) *http2.Framer {
		f := http2.NewFramer(conn, conn)
		_, _ = io.CopyN(io.Discard, conn, int64(len(http2.ClientPreface)))
		_ = f.WriteSettings(s...)
		return f
	}
	drain := func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
	kinds := []func(net.Conn){
		func(net.Conn) {}, // closes at once
		func(c net.Conn) { abort(c) },
		func(c net.Conn) { _, _ = io.WriteString(c, "220 mail.example.com ESMTP\r\n"); drain(c) },
		func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n") },
		func(c net.Conn) { _, _ = io.CopyN(c, rand.Reader, 1<<20) },
		func(c net.Conn) { _, _ = c.Write(make([]byte, 1<<16)); drain(c) },
		func(c net.Conn) { f := settings(c); _ = f.WriteGoAway(0, http2.ErrCodeNo, nil); drain(c) },
		func(c net.Conn) {
			f := settings(c)
			_ = f.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, []byte("too_many_pings"))
		},
		func(c net.Conn) { settings(c, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 0}); drain(c) },
		func(c net.Conn) { _, _ = io.CopyN(io.Discard, c, 24); drain(c) }, // no settings ever
		func(c net.Conn) { refuseStreams(settings(c)) },
	}
	var addrs []string
	for _, kind := range kinds {
		addrs = append(addrs, w.Bad(kind))
	}
	return addrs
}

// refuseStreams refuses each stream as unprocessed.
func refuseStreams(f *http2.Framer) {
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		if s, is := frame.(*http2.SettingsFrame); is && !s.IsAck() {
			err = f.WriteSettingsAck()
		}
		if h, is := frame.(*http2.HeadersFrame); is {
			err = f.WriteRSTStream(h.StreamID, http2.ErrCodeRefusedStream)
		}
		if err != nil {
			return
		}
	}
}
