package oslorpc_test

import (
	"bytes"
	"context"
	"log/slog"
	neturl "net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/tlstest"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// lockedBuffer is a buffer that several goroutines write to.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Options win over the URL, and the URL over the environment, part by part; a certificate and its
// key stay together.
func TestTrustPrecedence(t *testing.T) {
	for _, name := range trust.Variables() {
		t.Setenv(name, "")
	}
	files := tlstest.New(t).Local("localhost").Write(t.TempDir())
	query := neturl.Values{"ca": {files.CA}, "cert": {files.Cert}, "key": {files.Key}}.Encode()
	for name, test := range map[string]struct {
		config    trust.Config
		query     string
		variables map[string]string
		says      string // of the error, none if empty
	}{
		"option":                   {config: files, query: "ca=/u", variables: map[string]string{trust.CAVariable: "/e"}},
		"URL":                      {query: query, variables: map[string]string{trust.CAVariable: "/e", trust.CertVariable: "/e"}},
		"environment":              {variables: map[string]string{trust.CAVariable: files.CA}},
		"environment is wrong":     {variables: map[string]string{trust.CAVariable: "/e"}, says: `OSLORPC_CA: there is no file "/e"`},
		"URL is wrong":             {query: "ca=/u", says: `the transport URL's ca: there is no file "/u"`},
		"option is wrong":          {config: trust.Config{CA: "/o"}, query: "ca=/u", says: `trust.Config.CA: there is no file "/o"`},
		"pairs are not mixed":      {query: "cert=/u", variables: map[string]string{trust.KeyVariable: "/e"}, says: "set the transport URL's key, too"},
		"TLS in place of files":    {config: trust.Config{TLS: tlstest.New(t).Mutual()}, variables: map[string]string{trust.CAVariable: "/e"}},
		"insecure is no boolean":   {query: "insecure=perhaps", says: "write true or false"},
		"given twice":              {query: "ca=a&ca=b", says: "once"},
		"an option that is no one": {query: "caa=a", says: "nothing but a name"},
	} {
		t.Run(name, func(t *testing.T) {
			for name, value := range test.variables {
				t.Setenv(name, value)
			}
			address := "memory://trust"
			if test.query != "" {
				address += "?" + test.query
			}
			transport, err := oslorpc.Open(address, oslorpc.WithTrust(test.config))
			if err == nil {
				_ = transport.Close()
			}
			if test.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantKind(t, err, oslorpc.Invalid, true)
			wantText(t, err, test.says)
		})
	}
}

// Servers that other machines can reach without TLS need a permission, whether they listen there or
// say so, and the log has a warning once.
func TestPlaintextServers(t *testing.T) {
	for name, options := range map[string][]oslorpc.TransportOption{
		"listens":    {oslorpc.WithListen("0.0.0.0:0"), oslorpc.WithAdvertise("localhost")},
		"advertises": {oslorpc.WithAdvertise("node1.example")},
	} {
		t.Run(name, func(t *testing.T) {
			log := &lockedBuffer{}
			options = append(options, oslorpc.WithLogger(slog.New(slog.NewTextHandler(log, nil))))
			start := func(more ...oslorpc.TransportOption) error {
				transport := open(t, append(options, more...)...)
				for _, name := range []string{"node1", "node2"} {
					s := transport.Server(oslorpc.Target{Topic: "agents", Server: name})
					s.Add(newAgent(name).endpoint("1.0"))
					if err := s.Start(t.Context()); err != nil {
						return err
					}
				}
				return nil
			}
			err := start()
			wantKind(t, err, oslorpc.Invalid, oslorpc.SafeToRetry(err))
			wantText(t, err, "Plaintext")
			if err := start(oslorpc.WithTrust(trust.Config{Plaintext: true})); err != nil {
				t.Error(err)
			}
			if n := strings.Count(log.String(), "without TLS"); n != 1 {
				t.Errorf("%d warnings: %s", n, log)
			}
		})
	}
}

// Certificates are replaced all the time under load, and no call fails.
func TestRotationUnderLoad(t *testing.T) {
	authority := tlstest.New(t)
	dir := t.TempDir()
	files := authority.Local("localhost").Write(dir)
	serveSecure(t, oslorpc.WithTrust(files))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	var callers sync.WaitGroup
	for range 32 {
		callers.Go(func() {
			for ctx.Err() == nil {
				transport := open(t, oslorpc.WithTrust(files)) // a new connection each time
				c := transport.Client(oslorpc.Target{Topic: "inventory"}, oslorpc.WithTimeout(20*time.Second))
				for range 20 {
					if _, err := oslorpc.Call[string](t.Context(), c, "whoami", nil); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for tick := time.NewTicker(100 * time.Millisecond); ctx.Err() == nil; {
		select {
		case <-tick.C:
			authority.Local("localhost").Write(dir)
		case <-ctx.Done():
		}
	}
	callers.Wait()
}
