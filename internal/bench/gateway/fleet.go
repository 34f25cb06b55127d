//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// fleet is the set of processes that are compared.
type fleet struct {
	dir                      string
	url                      string // of the registry
	server, raw              string // addresses
	gateway                  string
	nginx, nginxRaw          string // addresses of nginx; empty if there is none
	gatewayProcess, nginxPID int
	ends                     []func() error
}

// newFleet starts all processes. The caller must close the fleet even if there is an error.
func newFleet(ctx context.Context, nginx, profile string) (*fleet, error) {
	f := &fleet{}
	var err error
	if f.dir, err = os.MkdirTemp("", "oslorpc-bench"); err != nil {
		return f, err
	}
	f.ends = append(f.ends, func() error { return os.RemoveAll(f.dir) })
	f.url = "local://" + filepath.Join(f.dir, "registry")
	if _, err = f.start(ctx, "server", []string{f.url}, &f.server, &f.raw); err != nil {
		return f, err
	}
	if f.gatewayProcess, err = f.start(ctx, "gateway", []string{f.url, profile}, &f.gateway); err != nil || nginx == "" {
		return f, err
	}
	return f, f.startNginx(ctx, nginx)
}

// start starts this program in a role and reads the addresses that it prints.
func (f *fleet) start(ctx context.Context, role string, args []string, addrs ...*string) (pid int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, self, args...) //nolint:gosec // Ours.
	cmd.Env, cmd.Stderr = append(os.Environ(), roleVariable+"="+role), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	f.ends = append(f.ends, func() error { return errors.Join(in.Close(), cmd.Wait()) })
	lines := bufio.NewScanner(out)
	for _, addr := range addrs {
		if !lines.Scan() {
			return 0, fmt.Errorf("the %s did not start", role)
		}
		*addr = lines.Text()
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return cmd.Process.Pid, nil
}

// nginxConfig makes nginx forward RPCs to the servers, as a gateway does. nginx has one worker and
// keeps the connections to a server open.
const nginxConfig = `
daemon off;
master_process off;
pid %[1]s/nginx.pid;
error_log stderr error;
events { worker_connections 1024; }
http {
	access_log off;
	client_max_body_size 0;
	client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
	keepalive_requests 1000000000;
	upstream ours { server %[2]s; keepalive 256; keepalive_requests 1000000000; }
	upstream raw { server %[3]s; keepalive 256; keepalive_requests 1000000000; }
	server { listen %[4]s http2; http2_max_concurrent_streams 1024; location / { grpc_pass grpc://ours; } }
	server { listen %[5]s http2; http2_max_concurrent_streams 1024; location / { grpc_pass grpc://raw; } }
}
`

// startNginx starts nginx and waits until it listens.
func (f *fleet) startNginx(ctx context.Context, file string) error {
	var err error
	if f.nginx, err = freeAddr(ctx); err != nil {
		return err
	}
	if f.nginxRaw, err = freeAddr(ctx); err != nil {
		return err
	}
	config := filepath.Join(f.dir, "nginx.conf")
	text := fmt.Sprintf(nginxConfig, f.dir, f.server, f.raw, f.nginx, f.nginxRaw)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, file, "-p", f.dir, "-c", config) //nolint:gosec // A flag names it.
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	f.nginxPID = cmd.Process.Pid
	f.ends = append(f.ends, func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM) // if it has ended, Wait returns why
		return cmd.Wait()
	})
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var dialing net.Dialer
		conn, err := dialing.DialContext(ctx, "tcp", f.nginxRaw)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(until) {
			return fmt.Errorf("nginx does not listen: %w", err)
		}
	}
}

// freeAddr returns an address that was free a moment ago.
func freeAddr(ctx context.Context) (string, error) {
	var listening net.ListenConfig
	l, err := listening.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// close ends all processes in reverse order.
func (f *fleet) close() error {
	var errs []error
	for _, end := range slices.Backward(f.ends) {
		errs = append(errs, end())
	}
	return errors.Join(errs...)
}
