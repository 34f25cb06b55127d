//go:build unix

package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// sidecar is a configuration of nginx as an HTTP proxy, which a mesh puts in front of a program.
// nginx runs as one process in the foreground.
const sidecar = `
daemon off;
master_process off;
worker_rlimit_nofile 1024;
pid %[1]s/pid;
error_log stderr warn;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	upstream gateways { %[3]s keepalive 16; }
	server {
		listen %[2]s http2;
		http2_max_concurrent_streams 1000;
		keepalive_requests 1000000;
		client_max_body_size 0;
		client_body_timeout 1h;
		location / {
			grpc_pass grpc://gateways;
			grpc_next_upstream off;
			grpc_read_timeout 1h;
			grpc_send_timeout 1h;
		}
	}
}
`

// proxied starts a sidecar in front of gateways and returns it as if it were a gateway. The
// gateways share its address.
func proxied(t *testing.T, gates ...*gate) *gate {
	t.Helper()
	nginx := findNginx(t)
	dir := t.TempDir()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close() // for nginx
	var upstreams strings.Builder
	for _, g := range gates {
		fmt.Fprintf(&upstreams, "server %s max_fails=0;", g.addr)
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, sidecar, dir, addr, upstreams.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	cmd := exec.CommandContext(context.Background(), nginx, "-c", file, "-p", dir, "-e", "stderr")
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // how it ended is of no interest
		if t.Failed() {
			t.Logf("nginx logged\n%s", log.String())
		}
	})
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
		if err == nil {
			_ = conn.Close()
			return &gate{addr: addr}
		}
		if time.Now().After(end) {
			t.Fatalf("nginx does not listen: %v", err)
		}
	}
}

// findNginx returns the path of nginx on this machine, or of the one that make has unpacked.
func findNginx(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("nginx"); err == nil {
		return path
	}
	for _, path := range []string{"/usr/sbin/nginx", "../../.bin/nginx/usr/sbin/nginx"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Skip("there is no nginx: run `make .bin/nginx/.installed`, or install it")
	return ""
}

// A sidecar in front of gateways changes nothing: a gateway chooses the server by the message,
// whatever the connection.
func TestSidecar(t *testing.T) {
	for name, gateways := range map[string]int{"one gateway": 1, "two gateways at one address": 2} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			a, b := f.serve(t, "a"), f.serve(t, "b")
			var gates []*gate
			for n := range gateways {
				gates = append(gates, f.gateway(t, fmt.Sprint("gw", n)))
			}
			checkDeliveries(t, a, b, gateways, proxied(t, gates...))
		})
	}
}

// If the sidecar loses a gateway that has a message, the caller learns at once that the outcome is
// unknown, and the message is not sent again. The next message uses the gateway that is back.
func TestSidecarLosesItsGateway(t *testing.T) {
	f := newFleet(t)
	a := f.serve(t, "a")
	way := newCable(t, f.gateway(t, "gw").addr)
	transport := open(t, "gateway://"+proxied(t, &gate{addr: way.addr}).addr+"?carrier=unary")
	c := transport.Client(oslorpc.Target{Topic: topic}, oslorpc.WithTimeout(patience))
	ctx := bounded(t)
	ended := make(chan error, 1)
	go func() {
		_, err := oslorpc.Call[string](ctx, c, "wait", nil)
		ended <- err
	}()
	<-a.running
	way.cut()
	if err := <-ended; !errors.Is(err, rpc.OutcomeUnknown) {
		t.Errorf("what ran ends with %v", err)
	}
	if err := way.mend(); err != nil {
		t.Fatal(err)
	}
	if name, err := oslorpc.Call[string](ctx, c, "whoami", nil); err != nil || name != "a" {
		t.Errorf("with the gateway back: %q, %v", name, err)
	}
	if n := a.count(); n != 2 {
		t.Errorf("the server ran %d messages, want 2", n)
	}
}
