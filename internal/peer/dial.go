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
	// Dial replaces the network; nil for none.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Credentials secure the connections; nil for none.
	Credentials credentials.TransportCredentials
	// Identity says which certificate the other end must have for the server of an RPC, which
	// [Meaning] sets; nil for any. With an [identity.Naming], each topic of a process has its own
	// connection.
	Identity identity.Rule
	// Token returns the bearer token to send with each RPC; nil for none.
	Token func() string
	// Expiry is how long discovery lists a process that died, at most, if it is known; errors say so.
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

// connectParams limit an attempt to about a second, so that a caller can go elsewhere. They also
// reconnect soon to a process that restarts at its old address.
var connectParams = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 10 * time.Second},
	MinConnectTimeout: time.Second,
}

// streamWindow and connWindow are how many bytes of an answer, and of all answers on a connection,
// may be in transit to this end. They do not grow: to learn how much they should, gRPC would send a
// ping after most answers, which costs as much as a small call.
const streamWindow, connWindow = 1 << 20, 4 << 20

// attemptTime bounds two times that gRPC lets grow with the back-off: to connect to one address,
// and to wait for the peer's preface. Otherwise an attempt that began during a network outage would
// wait for a TCP retransmission long after the network is back.
const attemptTime = 3 * time.Second

// dialer connects to a process. It reports what happens to a sight.
type dialer func(key carrier.Key, s *sight) (*grpc.ClientConn, error)

// naming returns how to ask a process for the certificate of a topic, or nil if one certificate
// serves all topics.
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
			grpc.WithIdleTimeout(0), // the server reaps idle connections; one that is in use must not be resolved anew
			steered(addr),
			grpc.WithStaticStreamWindowSize(streamWindow),
			grpc.WithStaticConnWindowSize(connWindow),
		}
		if v != nil {
			ours = append(ours, grpc.WithPerRPCCredentials(&verified{v, addr}))
		}
		if c.Token != nil { // after what verifies that the server may have it
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
		if strings.HasPrefix(addr, "unix:") { // a path is no name of a host
			if conn, err := grpc.NewClient(target, slices.Concat(ours, []grpc.DialOption{grpc.WithAuthority("localhost")}, c.Options)...); err == nil {
				return conn, nil
			} // credentials that name the server allow no other name
		}
		return grpc.NewClient(target, slices.Concat(ours, c.Options)...)
	}
}

// steered returns the options for the service configuration of a connection. A control plane of xDS
// chooses servers by a service configuration, which may also retry RPCs. Retries are turned off,
// because only delivery knows whether they are safe.
func steered(addr string) grpc.DialOption {
	if connection.IsXDS(addr) {
		return grpc.WithDisableRetry()
	}
	return grpc.WithDisableServiceConfig()
}

// dialing wraps dial so that the sight learns why it fails.
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
// as long as ctx allows; connecting may not.
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
