//go:build linux

package world

import (
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// listener listens on an address of the loopback interface until the world ends.
func (w *World) listener() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // It is closed below.
	w.Must(err)
	w.cleanup(func() { _ = l.Close() })
	return l
}

// OtherGRPC starts a gRPC server that has other services than ours, and returns its address.
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

// Silent listens at an address, and says nothing to those that connect.
func (w *World) Silent() string { return w.listener().Addr().String() }
