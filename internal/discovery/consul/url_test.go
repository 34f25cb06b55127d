package consul

import (
	"errors"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestParseURL(t *testing.T) {
	t.Setenv("CONSUL_HTTP_TOKEN_FILE", "")
	for address, want := range map[string]settings{
		"consul://":            {addr: "127.0.0.1:8500", ttl: 15 * time.Second},
		"consul:///":           {addr: "127.0.0.1:8500", ttl: 15 * time.Second},
		"consul://consul.lan":  {addr: "consul.lan:8500", ttl: 15 * time.Second},
		"consul://:18500":      {addr: "127.0.0.1:18500", ttl: 15 * time.Second},
		"consul://[::1]":       {addr: "[::1]:8500", ttl: 15 * time.Second},
		"consul://[::1]:1":     {addr: "[::1]:1", ttl: 15 * time.Second},
		"consul://h?tls=false": {addr: "h:8500", ttl: 15 * time.Second},
		"consul://h?dc=east&token-file=%2Ft&tls=true&ca-file=/ca&ttl=90s": {
			addr: "h:8500", dc: "east", tokenFile: "/t", tls: true, caFile: "/ca", ttl: 90 * time.Second,
		},
	} {
		if got, err := parseURL(mustParse(t, address)); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", address, got, err, want)
		}
	}
}

func TestOpenMalformed(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"memory://h":                         "consul://HOST:PORT",
		"consul:h":                           "consul://HOST:PORT",
		"consul://user:secret@h":             "consul://HOST:PORT",
		"consul://h/path":                    "consul://HOST:PORT",
		"consul://h#fragment":                "consul://HOST:PORT",
		"consul://h?tll=15s":                 `unknown parameter "tll": there are ca-file, dc, tls, token-file, ttl`,
		"consul://h?ttl=1s&ttl=2s":           "once",
		"consul://h?dc=":                     "with a value",
		"consul://h?dc=%zz":                  "%zz",
		"consul://h?ttl=15":                  "unit",
		"consul://h?ttl=999ms":               "between 1s and 5m0s",
		"consul://h?ttl=301s":                "between 1s and 5m0s",
		"consul://h?tls=yes":                 "neither true nor false",
		"consul://h?ca-file=/ca":             "tls=true",
		"consul://h?ca-file=/none&tls=true":  "/none",
		"consul://h?token-file=/none":        "/none",
		"consul://h?token-file=" + empty:     "is empty",
		"consul://h?token-file=/none&ttl=5s": "/none",
	} {
		_, err := Open(mustParse(t, address), slog.New(slog.DiscardHandler))
		if !errors.Is(err, rpc.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%s): %v, want an error of kind %q with %q", address, err, rpc.Invalid, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("Open(%s): the error shows the password: %v", address, err)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, address := range []string{"consul://", "consul://[::1]:1?dc=a&tls=true&ca-file=b&ttl=3s", "consul://h?x;y", "consul://h?%", "consul:h"} {
		f.Add(address)
	}
	f.Fuzz(func(t *testing.T, address string) {
		u, err := url.Parse(address)
		if err != nil {
			return
		}
		s, err := parseURL(u)
		switch _, _, bad := net.SplitHostPort(s.addr); {
		case err != nil && !errors.Is(err, rpc.Invalid):
			t.Errorf("%v, want an error of kind %q", err, rpc.Invalid)
		case err == nil && (bad != nil || s.ttl < minTTL || s.ttl > maxTTL):
			t.Errorf("%+v is not usable", s)
		}
	})
}

func mustParse(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
