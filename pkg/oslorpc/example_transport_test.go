package oslorpc_test

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"math/big"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// openEcho opens a transport with a server that echoes.
func openEcho(options ...oslorpc.TransportOption) (*oslorpc.Transport, error) {
	t, err := oslorpc.Open("memory://example-transport", append(options, oslorpc.WithStopGrace(0))...)
	if err != nil {
		return nil, err
	}
	server := t.Server(oslorpc.Target{Topic: "echo", Server: "node1"})
	server.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"echo": oslorpc.Func(func(_ context.Context, args oslorpc.Raw) (oslorpc.Raw, error) { return args, nil }),
	}})
	if err := server.Start(context.Background()); err != nil {
		_ = t.Close()
		return nil, err
	}
	return t, nil
}

// The URL of a transport says how programs find each other. Here, they are all in one process.
func ExampleOpen() {
	t, err := oslorpc.Open("memory://example-open?exchange=lab", oslorpc.WithCallerName("agent@node1"))
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()

	fmt.Println(t.DefaultExchange())
	fmt.Println("servers are known to", t.String()) // as errors name it
	// Output:
	// lab
	// servers are known to this process
}

func ExampleWithDefaultExchange() {
	t, err := oslorpc.Open("memory://example-exchange", oslorpc.WithDefaultExchange("lab"))
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()

	fmt.Println(t.DefaultExchange())
	// Output:
	// lab
}

// A program can require an RPC for each message, for example if a proxy inspects each message.
func ExampleWithCarrier() {
	t, err := openEcho(oslorpc.WithCarrier(rpc.CarrierUnary))
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "echo"})
	fmt.Println(oslorpc.Call[oslorpc.Raw](context.Background(), client, "echo", oslorpc.Raw(`{"n": 1}`)))
	// Output:
	// {"n": 1} <nil>
}

// By default, servers listen on a free port of 127.0.0.1.
func ExampleWithZone() {
	t, err := oslorpc.Open("memory://zones", oslorpc.WithZone("az1"))
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	s := t.Server(oslorpc.Target{Topic: "compute", Server: "node1"})
	s.Add(oslorpc.Endpoint{Version: "1.0", Methods: map[string]oslorpc.Method{"ping": oslorpc.Func(
		func(context.Context, struct{}) (string, error) { return "pong", nil },
	)}})
	if err := s.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	why, err := t.Client(oslorpc.Target{Topic: "compute"}).Why(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(why.Zone)
	// Output: messages for any server stay in zone "az1", where 1 of 1 servers are
}

func ExampleWithListen() {
	t, err := openEcho(oslorpc.WithListen("127.0.0.1:7000-7999"))
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()

	instances, err := t.Instances(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	host, port, err := net.SplitHostPort(instances[0].Addr)
	fmt.Println(host, port >= "7000" && port <= "7999", err)
	// Output:
	// 127.0.0.1 true <nil>
}

// A server listens on each address of its machine, and advertises the one that others connect to.
// Every program that reaches it can send messages, so without TLS this needs Plaintext.
func ExampleWithAdvertise() {
	t, err := openEcho(oslorpc.WithListen("0.0.0.0:0"), oslorpc.WithAdvertise("localhost"), oslorpc.WithTrust(trust.Config{Plaintext: true}))
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "echo"})
	fmt.Println(oslorpc.Call[oslorpc.Raw](context.Background(), client, "echo", oslorpc.Raw(`{"n": 1}`)))
	// Output:
	// {"n": 1} <nil>
}

// With TLS at both ends, clients and servers prove their identities. A real program loads
// certificates from files; this one makes a certificate that signs itself.
func ExampleWithTrust() {
	certificate, trusted := selfSigned()
	t, err := openEcho(oslorpc.WithTrust(trust.Config{TLS: &tls.Config{
		Certificates: []tls.Certificate{certificate}, // of this program, as a server and as a client
		RootCAs:      trusted,                        // for the servers that it connects to
		ClientCAs:    trusted,                        // for the clients that connect to it
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}}))
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "echo"})
	fmt.Println(oslorpc.Call[oslorpc.Raw](context.Background(), client, "echo", oslorpc.Raw(`{"n": 1}`)))
	// Output:
	// {"n": 1} <nil>
}

// selfSigned returns a certificate for 127.0.0.1, and the pool that trusts it.
func selfSigned() (tls.Certificate, *x509.CertPool) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(nil, template, template, public, private)
	if err != nil {
		log.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, pool
}

// A message that is too large is not sent.
func ExampleWithLimits() {
	t, err := openEcho(oslorpc.WithLimits(rpc.Limits{MessageSize: 1000, HeaderSize: 4096}))
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "echo"})
	_, err = oslorpc.Call[any](context.Background(), client, "echo", map[string]any{"bytes": make([]byte, 1000)})
	fmt.Println(errors.Is(err, oslorpc.TooLarge), oslorpc.SafeToRetry(err))
	// Output:
	// true true
}

// Here, the lines of the log have no time, so that they are always the same.
func ExampleWithLogger() {
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	t, err := oslorpc.Open("memory://example-logger", oslorpc.WithStopGrace(0),
		oslorpc.WithLogger(slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))))
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()

	server := t.Server(oslorpc.Target{Topic: "volumes", Server: "node1"})
	server.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"get": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (any, error) { return nil, errors.New("the disk is full") }),
	}})
	if err := server.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	_, _ = oslorpc.Call[any](context.Background(), t.Client(oslorpc.Target{Topic: "volumes"}), "get", nil)
	// Output:
	// level=ERROR msg="method failed" server=node1 method=get error="the disk is full"
}

// Options of gRPC tune the connections.
func ExampleWithDialOptions() {
	t, err := openEcho(
		oslorpc.WithDialOptions(grpc.WithReadBufferSize(64<<10)),
		oslorpc.WithServerOptions(grpc.ReadBufferSize(64<<10)))
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "echo"})
	fmt.Println(oslorpc.Call[oslorpc.Raw](context.Background(), client, "echo", oslorpc.Raw(`{"n": 1}`)))
	// Output:
	// {"n": 1} <nil>
}

// Routing headers say to proxies which server a message is for. An interceptor of gRPC sees them,
// as a proxy does.
func ExampleWithCarrier_routed() {
	proxy := func(ctx context.Context, r any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if info.FullMethod != "/oslorpc.v1.RPCService/Call" {
			return handler(ctx, r)
		}
		for _, name := range []string{"oslorpc-exchange", "oslorpc-topic", "oslorpc-server", "oslorpc-version"} {
			fmt.Println(name, metadata.ValueFromIncomingContext(ctx, name))
		}
		return handler(ctx, r)
	}
	t, err := openEcho(oslorpc.WithCarrier(rpc.CarrierRouted), oslorpc.WithServerOptions(grpc.UnaryInterceptor(proxy)))
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()

	client := t.Client(oslorpc.Target{Topic: "echo", Version: "1.0"})
	fmt.Println(oslorpc.Call[oslorpc.Raw](context.Background(), client, "echo", oslorpc.Raw(`{"n": 1}`)))
	// Output:
	// oslorpc-exchange [openstack]
	// oslorpc-topic [echo]
	// oslorpc-server [node1]
	// oslorpc-version [1.0]
	// {"n": 1} <nil>
}

// Shutdown stops all servers of a transport. The options bound how long that takes.
func ExampleTransport_Shutdown() {
	t, err := openEcho(
		oslorpc.WithStopGrace(100*time.Millisecond), // for others to learn of it before the server refuses messages
		oslorpc.WithStopTimeout(10*time.Second))     // for methods to finish, where no context bounds the stop
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) // bounds this stop
	defer cancel()
	fmt.Println(t.Shutdown(ctx))
	// Output:
	// <nil>
}

// Instances lists the servers that discovery knows.
func ExampleTransport_Instances() {
	t, err := openEcho()
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()

	instances, err := t.Instances(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, i := range instances {
		fmt.Println(i.Exchange, i.Topic, i.Server, i.State, i.Implemented[0].Version)
	}
	// Output:
	// openstack echo node1 active 1.0
}

// Ping measures how long a process takes to answer. It does not use the server's queue.
func ExampleTransport_Ping() {
	t, err := openEcho()
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	ctx := context.Background()

	instances, err := t.Instances(ctx)
	if err != nil {
		log.Fatal(err)
	}
	took, err := t.Ping(ctx, instances[0])
	fmt.Println(took > 0, err)
	// Output:
	// true <nil>
}

// Info tells what a process offers, and with WithRequests which programs ask for what.
func ExampleTransport_Info() {
	t, err := openEcho(oslorpc.WithCallerName("agent@node7"))
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	ctx := context.Background()
	if err := t.Client(oslorpc.Target{Topic: "echo"}).Cast(ctx, "echo", nil); err != nil {
		log.Fatal(err)
	}

	instances, err := t.Instances(ctx)
	if err != nil {
		log.Fatal(err)
	}
	info, err := t.Info(ctx, instances[0], oslorpc.WithRequests())
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range info.Servers[0].Requests {
		fmt.Println(r.Caller, "asked for", r.Method, r.Version, "times", r.Accepted)
	}
	// Output:
	// agent@node7 asked for echo 1.0 times 1
}
