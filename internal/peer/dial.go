package peer

import (
	"context"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/connection"
	"github.com/oslorpc/oslorpc/internal/identity"
)

// Config says how to connect to peers. The zero value connects over the network, without
// encryption.
type Config struct {
	// Dial makes the connections; nil for [DialNetwork].
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Credentials secure the connections; nil for none.
	Credentials credentials.TransportCredentials
	// Identity is the rule for the certificate that the other end must have; nil for any
	// certificate. It depends on the intended server of an RPC, which [Meaning] sets. If the rule
	// is an [identity.Naming], each topic of a process has its own connection.
	Identity identity.Rule
	// Token returns the bearer token to send with each RPC; nil for none.
	Token func() string
	// Expiry is the maximum time for which discovery lists a process that died, for error texts; 0
	// if it is not known.
	Expiry time.Duration
	// Log gets warnings about servers that do not prove their names; nil for none.
	Log *slog.Logger
	// Options come after the library's own and have precedence. Options that set another dialer or
	// other credentials hide what happens on connections: errors say less, and a peer's limit of
	// streams is not known.
	Options []grpc.DialOption
}

// Keepalive detects a frozen process or a lost host: it pings after Time without traffic, and ends
// the connection if the ping is not answered within Timeout. Servers must allow it; see
// connection.MinPing.
var Keepalive = keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true}

// connectParams limit an attempt to connect to about a second, so that a message can go to another
// instance. The short back-off reconnects soon to a process that restarts at its old address.
var connectParams = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 10 * time.Second},
	MinConnectTimeout: time.Second,
}

// streamWindow and connWindow are HTTP/2's flow control windows, in bytes: how much of one answer,
// and of all answers on a connection, may be in transit to this end. They are constant. To adapt
// them, gRPC would send a ping after most answers, which costs as much as a small call.
const streamWindow, connWindow = 1 << 20, 4 << 20

// attemptTime bounds how long connecting to an address may take, and then how long the peer's
// preface may take. gRPC's own limits grow with the back-off: an attempt that began during a
// network outage could wait for a TCP retransmission long after the network is back.
const attemptTime = 3 * time.Second

// dialer returns a connection to a process, which gRPC makes at first use. S observes the attempts
// to connect.
type dialer func(key carrier.Key, s *sight) (*grpc.ClientConn, error)

// naming returns the rule for the server name with which a connection asks a process for the
// certificate of a topic. It returns nil if a process has one certificate for all topics.
func (c Config) naming() identity.Naming {
	naming, _ := c.Identity.(identity.Naming)
	return naming
}

func (c Config) dialer(v *verifier) dialer {
	dial, secure, naming := c.Dial, c.Credentials, c.naming()
	if dial == nil {
		dial = DialNetwork
	}
	if secure == nil {
		secure = insecure.NewCredentials()
	}
	plaintext := secure.Info().SecurityProtocol == "insecure"
	return func(key carrier.Key, s *sight) (*grpc.ClientConn, error) {
		addr := key.Addr
		watching := &watched{TransportCredentials: secure, sight: s}
		if plaintext {
			watching.encrypted = func(ctx context.Context) bool { return answersTLS(ctx, dial, addr) }
		}
		ours := []grpc.DialOption{
			grpc.WithContextDialer(s.dialing(dial)),
			grpc.WithTransportCredentials(watching),
			grpc.WithKeepaliveParams(Keepalive),
			grpc.WithConnectParams(connectParams),
			grpc.WithIdleTimeout(0), // never idle: servers end idle connections, and gRPC would resolve the name anew
			steered(addr),
			grpc.WithStaticStreamWindowSize(streamWindow),
			grpc.WithStaticConnWindowSize(connWindow),
		}
		if v != nil {
			ours = append(ours, grpc.WithPerRPCCredentials(&verified{v, addr}))
		}
		if c.Token != nil { // after the verifier, so that only a verified server gets the token
			ours = append(ours, grpc.WithPerRPCCredentials(&bearer{c.Token, strings.HasPrefix(addr, "unix:")}))
		}
		if naming != nil {
			ours = append(ours, grpc.WithAuthority(naming.ServerName(key.Exchange, key.Topic)))
		}
		if connection.IsXDS(addr) {
			return grpc.NewClient(addr, slices.Concat(ours, c.Options)...)
		}
		// gRPC reads a target as a URL. A path, or the zone of an IPv6 address, may contain characters
		// with a meaning there.
		target := "passthrough:///" + url.PathEscape(addr)
		if strings.HasPrefix(addr, "unix:") { // the default authority would be the path, which is not a valid one
			if conn, err := grpc.NewClient(target, slices.Concat(ours, []grpc.DialOption{grpc.WithAuthority("localhost")}, c.Options)...); err == nil {
				return conn, nil
			} // credentials with a server name of their own refuse another authority
		}
		return grpc.NewClient(target, slices.Concat(ours, c.Options)...)
	}
}

// steered returns the option that keeps a service configuration from retrying RPCs, because only
// package delivery knows whether a retry is safe. An xDS control plane needs its service
// configuration to choose servers, so only the retries are turned off for it.
func steered(addr string) grpc.DialOption {
	if connection.IsXDS(addr) {
		return grpc.WithDisableRetry()
	}
	return grpc.WithDisableServiceConfig()
}

// dialing wraps dial, and records why it fails.
func (s *sight) dialing(dial func(context.Context, string) (net.Conn, error)) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, addr string) (net.Conn, error) {
		conn, err := dial(ctx, addr)
		if err != nil {
			s.failed(dialFault(ctx, err))
		}
		return conn, err
	}
}

// DialNetwork connects to "host:port", or to "unix:" followed by a path. The name lookup may take
// as long as ctx allows, but connecting at most attemptTime.
func DialNetwork(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limit := sync.OnceFunc(func() {
		late := time.AfterFunc(attemptTime, func() { cancel(context.DeadlineExceeded) })
		context.AfterFunc(ctx, func() { late.Stop() })
	})
	d := net.Dialer{ControlContext: func(context.Context, string, string, syscall.RawConn) error {
		limit()
		return nil
	}}
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return conn, err
}
