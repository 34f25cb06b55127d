package consul

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestParseURL(t *testing.T) {
	t.Setenv("CONSUL_HTTP_TOKEN_FILE", "")
	for address, want := range map[string]settings{
		"consul://":                        {addrs: []string{"127.0.0.1:8500"}, ttl: 15 * time.Second},
		"consul:///":                       {addrs: []string{"127.0.0.1:8500"}, ttl: 15 * time.Second},
		"consul://consul.lan":              {addrs: []string{"consul.lan:8500"}, ttl: 15 * time.Second},
		"consul://:18500":                  {addrs: []string{"127.0.0.1:18500"}, ttl: 15 * time.Second},
		"consul://[::1]":                   {addrs: []string{"[::1]:8500"}, ttl: 15 * time.Second},
		"consul://[::1]:1":                 {addrs: []string{"[::1]:1"}, ttl: 15 * time.Second},
		"consul://h1:1,h2,[::1]:3/?ttl=2s": {addrs: []string{"h1:1", "h2:8500", "[::1]:3"}, ttl: 2 * time.Second},
		"consul://h?consul-tls=false":      {addrs: []string{"h:8500"}, tls: tlsSettings{said: true}, ttl: 15 * time.Second},
		"consul://h?dc=east&consul-token-file=%2Ft&consul-tls=true&consul-ca=/ca&ttl=90s": {
			addrs: []string{"h:8500"}, dc: "east", tokenFile: "/t", tls: tlsSettings{on: true, said: true, caFile: "/ca"}, ttl: 90 * time.Second,
		},
		"consul://h?connect=native&service=web-1": {
			addrs: []string{"h:8500"}, native: nativeSettings{on: true, service: "web-1"}, ttl: 15 * time.Second,
		},
	} {
		if got, err := parseURL(address); err != nil || !reflect.DeepEqual(got, want) {
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
		"memory://h":                             "consul://HOST:PORT",
		"consul://h?connect=native":              "needs service=NAME",
		"consul://h?service=web":                 "no effect without connect=native",
		"consul://h?connect=sidecar&service=web": "write connect=native",
		// Intentions may be enforced or not.
		"consul://h?intentions=dry-run":                        "no effect without connect=native",
		"consul://h?connect=native&service=web&intentions=off": "write intentions=enforce",
		// The name of a service must be simple.
		"consul://h?connect=native&service=a/b":      "cannot be the name of a service",
		"consul:h":                                   "consul://HOST:PORT",
		"consul://user:secret@h":                     "consul://HOST:PORT",
		"consul://user:secret/x@h":                   "consul://HOST:PORT",
		"consul://h/path":                            "consul://HOST:PORT",
		"consul://h#fragment":                        "consul://HOST:PORT",
		"consul://h1,user:secret@h2":                 "consul://HOST:PORT",
		"consul://h1,":                               "a host is empty",
		"consul://,":                                 "a host is empty",
		"consul://h1,h1:8500":                        "h1:8500 appears twice",
		"consul://h1:x,h2":                           `host "h1:x"`,
		"consul://h1:0,h2":                           "from 1 to 65535",
		"consul://h:65536":                           "from 1 to 65535",
		"consul://::1":                               `host "::1"`,
		"consul://[::1,h":                            `host "[::1"`,
		"consul://a b":                               `host "a b"`,
		"consul://%zz":                               "%zz",
		"consul://h?tll=15s":                         `unknown parameter "tll": there are connect, consul-ca, consul-cert, consul-insecure,`,
		"consul://h?ttl=1s&ttl=2s":                   "once",
		"consul://h?dc=":                             "with a value",
		"consul://h?dc=%zz":                          "%zz",
		"consul://h?ttl=15":                          "unit",
		"consul://h?ttl=999ms":                       "between 1s and 5m0s",
		"consul://h?ttl=301s":                        "between 1s and 5m0s",
		"consul://h?consul-tls=yes":                  "neither true nor false",
		"consul://h?consul-ca=/ca&consul-tls=false":  "consul-tls=false",
		"consul://h?consul-cert=/none":               "both consul-cert and consul-key",
		"consul://h?consul-ca=/none&consul-tls=true": "/none",
		"consul://h?consul-token-file=/none":         "/none",
		"consul://h?consul-token-file=" + empty:      "is empty",
		"consul://h?consul-token-file=/none&ttl=5s":  "/none",
	} {
		_, err := Open(address, slog.New(slog.DiscardHandler))
		if !errors.Is(err, rpc.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%s): %v, want an error of kind %q with %q", address, err, rpc.Invalid, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("Open(%s): the error shows the password: %v", address, err)
		}
	}
}

// Blanks around a token are removed, wherever it comes from. A token that is invalid in a header is
// refused.
func TestToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	for _, test := range []struct{ text, want string }{
		{"secret\n", "secret"}, {" secret\r\n", "secret"}, {"se\ncret", ""}, {"secret\x00", ""}, {"secret\x7f", ""},
	} {
		write(t, file, test.text)
		addresses := map[string]string{"consul://h": "CONSUL_HTTP_TOKEN", "consul://h?consul-token-file=" + file: file}
		if !strings.Contains(test.text, "\x00") {
			t.Setenv("CONSUL_HTTP_TOKEN", test.text)
		} else {
			delete(addresses, "consul://h") // variables cannot have it
		}
		for address, from := range addresses {
			r, err := Open(address, slog.New(slog.DiscardHandler))
			if test.want == "" {
				if !errors.Is(err, rpc.Invalid) || !strings.Contains(err.Error(), from) || strings.Contains(err.Error(), "se\n") {
					t.Errorf("Open(%s) with the token %q: %v, want an error of kind %q that names %s", address, test.text, err, rpc.Invalid, from)
				}
				continue
			}
			must(t, err)
			must(t, r.Close(context.Background()))
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, address := range []string{"consul://", "consul://[::1]:1?dc=a&consul-tls=true&consul-ca=b&ttl=3s", "consul://h?x;y", "consul://a,[::1]:1,:2", "consul://a,,b", "consul://]0", "consul://[::1%25a]", "consul://h?%", "consul:h"} {
		f.Add(address)
	}
	f.Fuzz(func(t *testing.T, address string) {
		s, err := parseURL(address)
		bad := len(s.addrs) == 0
		for _, addr := range s.addrs {
			_, _, unusable := net.SplitHostPort(addr)
			bad = bad || unusable != nil
		}
		switch {
		case err != nil && !errors.Is(err, rpc.Invalid):
			t.Errorf("%v, want an error of kind %q", err, rpc.Invalid)
		case err == nil && (bad || s.ttl < minTTL || s.ttl > maxTTL):
			t.Errorf("%+v is not usable", s)
		}
	})
}
