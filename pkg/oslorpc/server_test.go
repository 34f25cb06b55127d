package oslorpc_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// Several servers of a process share its address. Each is reached as if it were alone.
func TestServersShareAListener(t *testing.T) {
	transport := open(t)
	for _, target := range []oslorpc.Target{
		{Topic: "agents", Server: "a"}, {Topic: "agents", Server: "b"}, {Topic: "plugin", Server: "a"},
		{Exchange: "other", Topic: "agents", Server: "a"},
	} {
		name := target.Exchange + "/" + target.Topic + "/" + target.Server
		serveOn(t, transport, target, newAgent(name).endpoint("1.0"))
	}
	instances, err := transport.Instances(t.Context())
	if err != nil || len(instances) != 4 {
		t.Fatalf("listed: %v, %v", instances, err)
	}
	for _, i := range instances {
		if i.Addr != instances[0].Addr || i.BootID != instances[0].BootID {
			t.Errorf("%+v is elsewhere than %+v", i, instances[0])
		}
		if took, err := transport.Ping(t.Context(), i); err != nil || took <= 0 {
			t.Errorf("ping: %v, %v", took, err)
		}
	}
	c := client(t)
	for want, options := range map[string][]oslorpc.ClientOption{
		"/agents/a":      {oslorpc.WithServer("a")},
		"/agents/b":      {oslorpc.WithServer("b")},
		"/plugin/a":      {oslorpc.WithTopic("plugin")},
		"other/agents/a": {oslorpc.WithExchange("other")},
	} {
		for range 3 {
			if got, err := oslorpc.Call[string](t.Context(), c.Prepare(options...), "whoami", nil); got != want || err != nil {
				t.Errorf("got %q, %v; want %q", got, err, want)
			}
		}
	}
	seen := map[string]bool{}
	for range 4 {
		got, err := oslorpc.Call[string](t.Context(), c, "whoami", nil)
		if err != nil {
			t.Fatal(err)
		}
		seen[got] = true
	}
	if !seen["/agents/a"] || !seen["/agents/b"] || len(seen) != 2 {
		t.Errorf("any server on the topic: %v", seen)
	}
}

func TestServersOfOneNameShareItsMessages(t *testing.T) {
	one, two := newAgent("one"), newAgent("two")
	serve(t, "node1", one.endpoint("1.0"))
	serve(t, "node1", two.endpoint("1.0"))
	c := client(t, oslorpc.WithServer("node1"))
	for range 10 {
		if err := c.Cast(t.Context(), "note", nil); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "10 casts ran", func() bool { return one.casts.Load()+two.casts.Load() == 10 })
	if one.casts.Load() == 0 || two.casts.Load() == 0 {
		t.Errorf("shared %d to %d", one.casts.Load(), two.casts.Load())
	}
}

func TestServerLifecycle(t *testing.T) {
	transport := open(t)
	s := transport.Server(oslorpc.Target{Topic: "agents", Server: "node1"})
	s.Add(newAgent("node1").endpoint("1.0"))
	s.Wait() // does not run: returns at once
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("stop before the start: %v", err)
	}
	c := client(t, oslorpc.WithRetry(0))
	for round := range 3 {
		for range 2 { // the second does nothing
			if err := s.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		until(t, "it answers", func() bool {
			_, err := oslorpc.Call[string](t.Context(), c, "whoami", nil)
			return err == nil
		})
		waited := make(chan struct{})
		go func() {
			s.Wait()
			close(waited)
		}()
		var stops sync.WaitGroup
		for range 3 {
			stops.Go(func() {
				if err := s.Stop(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		stops.Wait()
		<-waited
		if instances, err := transport.Instances(t.Context()); len(instances) != 0 || err != nil {
			t.Errorf("round %d: listed after the stop: %v, %v", round, instances, err)
		}
	}
	_, err := oslorpc.Call[string](t.Context(), c, "whoami", nil)
	if !oslorpc.IsNotDelivered(err) {
		t.Errorf("a call of a stopped server: %v", err)
	}
}

// A stopping server finishes the calls and casts that it accepted.
func TestStopFinishesWhatWasAccepted(t *testing.T) {
	const most = 1000 // casts of the loop below may be accepted, too
	entered, release, finished := make(chan struct{}, most), make(chan struct{}), make(chan struct{}, most)
	s := serve(t, "node1", oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"block": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (string, error) {
			entered <- struct{}{}
			<-release
			finished <- struct{}{}
			return "done", nil
		}),
	}})
	c := client(t)
	if err := c.Cast(t.Context(), "block", nil); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error)
	go func() {
		got, err := oslorpc.Call[string](context.Background(), c, "block", nil)
		if got != "done" {
			err = errors.Join(err, errors.New(got))
		}
		answered <- err
	}()
	<-entered
	<-entered
	stopped := make(chan error)
	go func() { stopped <- s.Stop(context.Background()) }()
	until(t, "it refuses", func() bool {
		return oslorpc.IsNotDelivered(client(t, oslorpc.WithRetry(0)).Cast(t.Context(), "block", nil))
	})
	select {
	case err := <-stopped:
		t.Fatalf("it stopped before it finished: %v", err)
	default:
	}
	close(release)
	if err := errors.Join(<-answered, <-stopped); err != nil {
		t.Error(err)
	}
	if len(finished) != 2+len(entered) {
		t.Errorf("%d finished of %d that began", len(finished), 2+len(entered))
	}
}

// A forced stop ends the contexts of running methods.
func TestForcedStop(t *testing.T) {
	ended := make(chan error, 1)
	entered := make(chan struct{})
	s := serve(t, "node1", oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"hang": oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (any, error) {
			close(entered)
			<-ctx.Done()
			ended <- ctx.Err()
			return nil, nil
		}),
	}})
	if err := client(t).Cast(t.Context(), "hang", nil); err != nil {
		t.Fatal(err)
	}
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	wantKind(t, s.Stop(ctx), oslorpc.Timeout, false)
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the method's context ended with %v", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	transport := open(t)
	s := transport.Server(oslorpc.Target{Topic: "agents", Server: "node1"})
	s.Add(newAgent("node1").endpoint("1.0"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	if _, err := oslorpc.Call[string](t.Context(), client(t), "whoami", nil); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}

	go func() { ended <- s.Run(context.Background()) }()
	until(t, "it runs", func() bool {
		list, err := transport.Instances(t.Context())
		return err == nil && len(list) == 1
	})
	if err := errors.Join(s.Stop(t.Context()), <-ended); err != nil {
		t.Errorf("run that was stopped: %v", err)
	}
}

func TestOpenRefusesMalformedURLs(t *testing.T) {
	for text, says := range map[string]string{
		"local":                     "no scheme",
		"rabbit://host":             `"rabbit"`,
		"consul://host:port":        "port",
		"consul://h1:1,":            "empty",
		"memory://a:b":              "malformed",
		"consul://h?nope=1":         "nope",
		"local://host/dir":          "local",
		"static://":                 "static",
		"static://topic":            "topic",
		"static://topic=host":       "port",
		"memory://a/b":              "memory",
		"local:///nonexistent/a/b/": "nonexistent",
	} {
		t.Run(text, func(t *testing.T) {
			transport, err := oslorpc.Open(text)
			if err == nil {
				_ = transport.Close()
				t.Fatal("opened")
			}
			if kind := oslorpc.KindOf(err); kind != oslorpc.Invalid && kind != oslorpc.Unreachable {
				t.Errorf("kind %s: %v", kind, err)
			}
			wantText(t, err, says)
		})
	}
}

func TestListen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	busy := taken.Addr().String()
	socket := "unix:" + filepath.Join(t.TempDir(), "socket")
	for name, test := range map[string]struct {
		options []oslorpc.TransportOption
		addr    string // a prefix of what is advertised
		says    string // of the error
	}{
		"default":              {nil, "127.0.0.1:", ""},
		"localhost":            {[]oslorpc.TransportOption{oslorpc.WithListen("localhost:0")}, "localhost:", ""},
		"IPv6":                 {[]oslorpc.TransportOption{oslorpc.WithListen("[::1]:0")}, "[::1]:", ""},
		"range":                {[]oslorpc.TransportOption{oslorpc.WithListen("127.0.0.1:20000-29999")}, "127.0.0.1:2", ""},
		"socket":               {[]oslorpc.TransportOption{oslorpc.WithListen(socket)}, socket, ""},
		"advertised":           {[]oslorpc.TransportOption{oslorpc.WithAdvertise("node1.example:7000"), plaintext}, "node1.example:7000", ""},
		"advertised host":      {[]oslorpc.TransportOption{oslorpc.WithAdvertise("node1.example"), plaintext}, "node1.example:", ""},
		"taken":                {[]oslorpc.TransportOption{oslorpc.WithListen(busy)}, "", busy},
		"all addresses":        {[]oslorpc.TransportOption{oslorpc.WithListen("0.0.0.0:0")}, "", "WithTrust"},
		"unspecified":          {[]oslorpc.TransportOption{oslorpc.WithListen("0.0.0.0:0"), oslorpc.WithTrust(trust.Config{Plaintext: true})}, "", "WithAdvertise"},
		"no port":              {[]oslorpc.TransportOption{oslorpc.WithListen("127.0.0.1")}, "", "host:port"},
		"bad port":             {[]oslorpc.TransportOption{oslorpc.WithListen("127.0.0.1:http")}, "", `"http"`},
		"bad range":            {[]oslorpc.TransportOption{oslorpc.WithListen("127.0.0.1:9-8")}, "", `"9-8"`},
		"relative socket":      {[]oslorpc.TransportOption{oslorpc.WithListen("unix:socket")}, "", "absolute"},
		"advertised socket":    {[]oslorpc.TransportOption{oslorpc.WithListen(socket), oslorpc.WithAdvertise("h")}, "", "advertised"},
		"range from any":       {[]oslorpc.TransportOption{oslorpc.WithListen("127.0.0.1:0-5")}, "", `"0-5"`},
		"advertised IPv6":      {[]oslorpc.TransportOption{oslorpc.WithAdvertise("[2001:db8::1]:7000"), plaintext}, "[2001:db8::1]:7000", ""},
		"advertised IPv6 host": {[]oslorpc.TransportOption{oslorpc.WithAdvertise("[2001:db8::1]"), plaintext}, "[2001:db8::1]:", ""},
	} {
		t.Run(name, func(t *testing.T) {
			transport := open(t, test.options...)
			s := transport.Server(oslorpc.Target{Topic: "agents", Server: "node1"})
			s.Add(newAgent("node1").endpoint("1.0"))
			err := s.Start(t.Context())
			if test.says != "" {
				wantKind(t, err, oslorpc.Invalid, oslorpc.SafeToRetry(err))
				wantText(t, err, test.says)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			list, err := transport.Instances(t.Context())
			if err != nil || len(list) != 1 || list[0].Addr[:min(len(test.addr), len(list[0].Addr))] != test.addr {
				t.Fatalf("advertised %v, %v; want %s", list, err, test.addr)
			}
			if !strings.HasPrefix(name, "advertised") {
				c := transport.Client(oslorpc.Target{Topic: "agents"})
				if got, err := oslorpc.Call[string](t.Context(), c, "whoami", nil); got != "node1" || err != nil {
					t.Errorf("call: %v, %v", got, err)
				}
			}
			if err := s.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// An advertised address that others cannot connect to is refused at once, whatever sets it. The
// error says what to write.
func TestUnusableAdvertise(t *testing.T) {
	for address, says := range map[string]string{
		"127.0.0.1:0":         "from 1 to 65535",
		"127.0.0.1:7000-7100": `from 1 to 65535, and is "7000-7100"`,
		"host:http":           "from 1 to 65535",
		"host:70000":          "from 1 to 65535",
		"host:":               "from 1 to 65535",
		"host:080":            `write "host:80"`,
		"http://host:7000":    "it is a URL",
		"::1:7000":            `in brackets, as in "[::1]:7000"`,
		"::1":                 `in brackets, as in "[::1]:7000"`,
		"fe80::1%eth0":        "in brackets",
		" host:7000":          "it has a blank",
		"host ":               "it has a blank",
		"ho st":               "it has a blank",
		"0.0.0.0":             "unspecified host",
		"0.0.0.0:7000":        "unspecified host",
		"[::]:7000":           "unspecified host",
		":7000":               "unspecified host",
		"[]":                  "unspecified host",
		"unix:/run/socket":    "from 1 to 65535",
		"host/path":           "is not a host",
		"user@host:7000":      "is not a host",
	} {
		for _, registry := range []string{"memory://", "static://t=127.0.0.1:1", "consul://127.0.0.1:1", "local://" + t.TempDir() + "/d"} {
			transport, err := oslorpc.Open(registry, oslorpc.WithAdvertise(address))
			if err == nil {
				_ = transport.Close()
			}
			wantKind(t, err, oslorpc.Invalid, true)
			wantText(t, err, fmt.Sprintf("%q", address), says)
		}
	}
}

// plaintext allows insecure connections.
var plaintext = oslorpc.WithTrust(trust.Config{Plaintext: true})

// A server does not start if the URL lists it at another address. A server that the URL does not
// list starts.
func TestStaticServerElsewhere(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		entries string
		options []oslorpc.TransportOption
		fails   bool
	}{
		"there":             {"agents=" + addr, []oslorpc.TransportOption{oslorpc.WithListen(addr)}, false},
		"by name":           {"agents/node1=localhost:" + port, []oslorpc.TransportOption{oslorpc.WithListen(addr)}, false},
		"one of several":    {"agents=127.0.0.1:1,agents=" + addr, []oslorpc.TransportOption{oslorpc.WithListen(addr)}, false},
		"another topic":     {"others=127.0.0.1:1", nil, false},
		"behind a balancer": {"agents=lb.example:443", []oslorpc.TransportOption{oslorpc.WithAdvertise("lb.example:443"), plaintext}, false},
		"another port":      {"agents=127.0.0.1:1", []oslorpc.TransportOption{oslorpc.WithListen(addr)}, true},
		"any port":          {"agents/node1=localhost:1", nil, true},
		"another host":      {"agents=127.0.0.2:" + port, []oslorpc.TransportOption{oslorpc.WithListen(addr)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			transport := openOn(t, "static://"+test.entries, test.options...)
			defer transport.Close()
			err := newServer(transport, "node1").Start(t.Context())
			if !test.fails {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantKind(t, err, oslorpc.Invalid, true)
			wantText(t, err, "node1", "the transport URL has", "WithListen")
		})
	}
}

func TestClosedTransport(t *testing.T) {
	transport := open(t)
	s := transport.Server(oslorpc.Target{Topic: "agents", Server: "node1"})
	s.Add(newAgent("node1").endpoint("1.0"))
	if err := errors.Join(s.Start(t.Context()), transport.Close()); err != nil {
		t.Fatal(err)
	}
	s.Wait()
	wantKind(t, s.Start(t.Context()), oslorpc.Invalid, true)
	_, err := oslorpc.Call[any](t.Context(), transport.Client(oslorpc.Target{Topic: "agents"}), "whoami", nil)
	wantKind(t, err, oslorpc.Invalid, true)
	wantText(t, err, "closed")
}
