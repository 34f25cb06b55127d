package main

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/oslorpc/oslorpc/internal/tlstest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// TestImpostor checks that no command sends anything to a process that proves another name than the
// server at its address. ls lists this server nevertheless.
func TestImpostor(t *testing.T) {
	t.Parallel()
	const prefix = "spiffe://cloud.example/exchange/openstack/topic/"
	authority := tlstest.New(t)
	transport, err := oslorpc.Open("memory://", oslorpc.WithListen("127.0.0.1:0"),
		oslorpc.WithLogger(slog.New(slog.DiscardHandler)), oslorpc.WithTrust(trust.Config{TLS: authority.Issue(tlstest.Subject{URIs: []string{prefix + "printers/server/printer-17"}}).Mutual()}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = transport.Close() })
	var ran atomic.Int32
	s := transport.Server(oslorpc.Target{Topic: "payments", Server: "p1"})
	s.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"pay": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (any, error) {
		ran.Add(1)
		return nil, nil
	})}})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	instance, _ := s.Instance()
	files := authority.Issue(tlstest.Subject{URIs: []string{"spiffe://cloud.example/user/ann"}}).Write(t.TempDir())
	flags := []string{
		"--transport", "static://payments/p1=" + instance.Addr, "--ca", files.CA, "--cert", files.Cert, "--key", files.Key,
		"--identity", "spiffe://cloud.example/exchange/{exchange}/topic/{topic}/server/{server}",
	}
	const want = "must prove " + prefix + "payments/server/p1; it proved " + prefix + "printers/server/printer-17"
	for _, line := range []string{"call payments pay", "cast payments pay", "fanout payments pay", "multicall payments pay", "ping payments", "info payments"} {
		r := runWith("", append(strings.Fields(line), flags...)...)
		if r.code == 0 || !strings.Contains(r.out+r.errs, want) || strings.Contains(r.out+r.errs, "may have run") {
			t.Errorf("%s: exit code %d: %s%s", line, r.code, r.out, r.errs)
		}
	}
	if r := runWith("", append([]string{"ls"}, flags...)...); r.code != 0 || !strings.Contains(r.out, "p1") {
		t.Errorf("ls: exit code %d: %s%s", r.code, r.out, r.errs)
	}
	if ran.Load() != 0 {
		t.Errorf("%d messages ran", ran.Load())
	}
}
