package security

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/tlstest"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// open opens a configuration and returns its log.
func open(t *testing.T, c trust.Config) (*Trust, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	opened, err := Open(Text{Config: c, Variable: none}, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	return opened, log
}

// meet connects a client to a server and returns the error of each.
func meet(t *testing.T, client, server *Trust) (clientErr, serverErr error) {
	t.Helper()
	accept, err := server.Server()
	if err != nil {
		t.Fatal(err)
	}
	here, there := connected(t)
	ended := make(chan error)
	go func() {
		conn, _, err := accept.ServerHandshake(there)
		if err == nil {
			_, err = conn.Write([]byte("x"))
		}
		_ = there.Close()
		ended <- err
	}()
	conn, _, err := client.Client().ClientHandshake(context.Background(), "localhost", here)
	if err == nil {
		_, err = io.ReadFull(conn, make([]byte, 1)) // TLS 1.3 says here whether the server accepts
	}
	_ = here.Close()
	return err, <-ended
}

// connected returns the ends of a connection, with deadlines.
func connected(t *testing.T) (here, there net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if here, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if there, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	for _, conn := range []net.Conn{here, there} {
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	return here, there
}

func wantMeeting(t *testing.T, client, server *Trust) {
	t.Helper()
	if err, serverErr := meet(t, client, server); err != nil || serverErr != nil {
		t.Fatalf("client: %v, server: %v", err, serverErr)
	}
}

// New files are used by the next connection without a restart, however they were put there.
func TestReload(t *testing.T) {
	for way, replace := range map[string]func(a *tlstest.Authority, dir string){
		"certificate first": func(a *tlstest.Authority, dir string) {
			cert, key := a.Local("localhost").PEM()
			a.Replace(filepath.Join(dir, "cert.pem"), cert)
			a.Replace(filepath.Join(dir, "key.pem"), key)
		},
		"key first": func(a *tlstest.Authority, dir string) { a.Local("localhost").Write(dir) },
		"a link, as Kubernetes": func(a *tlstest.Authority, dir string) {
			target, err := os.MkdirTemp(filepath.Dir(dir), "data")
			if err != nil {
				t.Fatal(err)
			}
			a.Local("localhost").Write(target)
			if err := os.Symlink(target, dir+".next"); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(dir+".next", dir); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(way, func(t *testing.T) {
			a := tlstest.New(t)
			parent := t.TempDir()
			first := filepath.Join(parent, "first")
			a.Local("localhost").Write(first)
			dir := filepath.Join(parent, "now")
			if err := os.Symlink(first, dir); err != nil {
				t.Fatal(err)
			}
			config := trust.Config{CA: dir + "/ca.pem", Cert: dir + "/cert.pem", Key: dir + "/key.pem"}
			server, log := open(t, config)
			before := server.held.last()
			replace(a, dir)
			if !server.held.look() {
				t.Fatal("it sees no change")
			}
			after := server.held.last()
			if before.pair == after.pair || before.epoch == after.epoch || !strings.Contains(log.String(), "read again") {
				t.Errorf("it has the old pair: %s", log)
			}
			wantMeeting(t, server, server)
		})
	}
}

// If files cannot be used, the old ones stay in use, which is logged once. A pair that is replaced
// in two steps is not logged at all.
func TestBrokenFiles(t *testing.T) {
	a := tlstest.New(t)
	config := a.Local("localhost").Write(t.TempDir())
	expired, _ := a.Issue(tlstest.Subject{DNS: []string{"localhost"}, NotAfter: time.Now().Add(-time.Minute)}).PEM()
	other, _ := a.Local("localhost").PEM()
	for name, broken := range map[string]struct {
		path    string
		content []byte
	}{
		"another's key": {config.Cert, other}, "no PEM": {config.Cert, []byte("hello")}, "empty": {config.Cert, nil},
		"expired": {config.Cert, expired}, "no authority": {config.CA, nil},
	} {
		t.Run(name, func(t *testing.T) {
			server, log := open(t, config)
			f, before := server.held.(*files), server.held.last()
			whole, err := os.ReadFile(broken.path)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Replace(broken.path, whole)
			a.Replace(broken.path, broken.content)
			if f.look(); log.Len() > 0 {
				t.Errorf("it logs what may be half of a replacement: %s", log)
			}
			f.mu.Lock()
			f.authoritiesFault.since, f.pairFault.since = f.authoritiesFault.since.Add(-faultTime), f.pairFault.since.Add(-faultTime)
			f.mu.Unlock()
			f.look()
			f.look()
			if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), filepath.Base(broken.path)) {
				t.Errorf("it logs %d lines: %s", n, log)
			}
			if f.current.Load() != before {
				t.Error("it does not keep what it had")
			}
			wantMeeting(t, server, server)
		})
	}
}

// The goroutine of an open configuration detects changes by itself.
func TestFollow(t *testing.T) {
	a := tlstest.New(t)
	config := a.Local("localhost").Write(t.TempDir())
	opened, _ := open(t, config)
	before := opened.held.last()
	a.Local("localhost").Write(filepath.Dir(config.Cert))
	for end := time.Now().Add(20 * time.Second); opened.held.last() == before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not see the change")
		}
	}
}

// Whether a client is accepted depends only on the certificates.
func TestMutual(t *testing.T) {
	ours, others := tlstest.New(t), tlstest.New(t)
	config := ours.Local("localhost").Write(t.TempDir())
	server, _ := open(t, config)
	stranger := others.Local("localhost").Write(t.TempDir())
	stranger.CA = config.CA
	expired := ours.Local("localhost").Write(t.TempDir())
	elsewhere := config
	elsewhere.ServerName = "db.example"
	for name, test := range map[string]struct {
		client trust.Config
		works  bool
	}{
		"a certificate":            {config, true},
		"none":                     {trust.Config{CA: config.CA}, false},
		"of another authority":     {stranger, false},
		"the server has another":   {elsewhere, false},
		"the system's authorities": {trust.Config{Cert: expired.Cert, Key: expired.Key}, false},
		"an identity, no name":     {trust.Config{CA: config.CA, Cert: config.Cert, Key: config.Key, Identity: "dns:{server}"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			client, _ := open(t, test.client)
			if err, _ := meet(t, client, server); (err == nil) != test.works {
				t.Errorf("got %v, want it to work: %v", err, test.works)
			}
		})
	}
}

// An identity replaces only the check of the name in an address.
func TestIdentityInPlaceOfName(t *testing.T) {
	ours := tlstest.New(t)
	config := ours.Issue(tlstest.Subject{URIs: []string{"spiffe://example/a"}}).Write(t.TempDir())
	server, _ := open(t, config)
	plain, _ := open(t, config)
	if err, _ := meet(t, plain, server); err == nil {
		t.Error("a client without a template accepts a certificate for another name")
	}
	named := config
	named.Identity = "spiffe://example/{server}"
	client, _ := open(t, named)
	wantMeeting(t, client, server)
	foreign := tlstest.New(t).Issue(tlstest.Subject{URIs: []string{"spiffe://example/a"}}).Write(t.TempDir())
	foreign.CA = config.CA
	impostor, _ := open(t, foreign)
	if err, _ := meet(t, client, impostor); err == nil {
		t.Error("a client with a template accepts a certificate of another authority")
	}
}
