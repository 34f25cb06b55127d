//go:build unix

// Package mesh runs the session of the README on a real Consul, and checks the deployment files.
package mesh

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/internal/programtest"
	"github.com/oslorpc/oslorpc/internal/testbin"
)

func TestMain(m *testing.M) { leak.Main(m) }

var masks = []programtest.Mask{
	{Pattern: regexp.MustCompile(`at c\d \(127\.0\.0\.1:\d+\)`), Instead: "at a server"},
}

// The session in the README prints what the README shows.
func TestReadmeSession(t *testing.T) {
	consul, err := testbin.Find("consul", filepath.Join("tools", "consul"), "github.com/hashicorp/consul")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Dir(consul)+string(os.PathListSeparator)+os.Getenv("PATH"))
	ports := freePorts(t, 7)
	t.Setenv("CONSUL_HTTP_ADDR", "127.0.0.1:"+ports[0])
	session := programtest.ReadSession(t, "README.md")
	if len(session) != 48 {
		t.Errorf("the README shows %d commands", len(session))
	}
	agent := "agent -dev -bind=127.0.0.1 -client=127.0.0.1 -http-port=" + ports[0] + " -server-port=" + ports[1] + " -serf-lan-port=" + ports[2] +
		" -serf-wan-port=-1 -grpc-port=-1 -dns-port=-1"
	session = session.Replace("agent -dev", agent).Replace("127.0.0.1:8500", "127.0.0.1:"+ports[0]).Replace("$PWD/.bin", ".bin")
	for n, port := range ports[3:] {
		session = session.Replace("127.0.0.1:700"+strconv.Itoa(n), "127.0.0.1:"+port)
	}
	session.Run(t, ".", "", masks...)
}

// freePorts returns ports that were free for TCP and UDP a moment ago.
func freePorts(t *testing.T, count int) (ports []string) {
	t.Helper()
	for len(ports) < count {
		tcp, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer tcp.Close()
		udp, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", tcp.Addr().String())
		if err != nil {
			continue
		}
		defer udp.Close()
		_, port, err := net.SplitHostPort(tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, port)
	}
	return ports
}
