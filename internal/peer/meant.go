package peer

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync"

	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/internal/lograte"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// meant is the intended server of an RPC. Refuse is why the RPC was not sent; nil if it was.
type meant struct {
	server identity.Server
	mu     sync.Mutex
	refuse *rpc.Error
}

type meantKey struct{}

// Meaning returns the context for an RPC to an intended server. If Config.Identity is set, gRPC
// sends the RPC only if the certificate of the other end is that server's.
func Meaning(ctx context.Context, s identity.Server) context.Context {
	return context.WithValue(ctx, meantKey{}, &meant{server: s})
}

// Refused returns why an RPC with a context of Meaning was not sent, if the other end did not prove
// to be the intended server or must not get the token. It returns nil in all other cases.
func Refused(ctx context.Context) *rpc.Error {
	m, ok := ctx.Value(meantKey{}).(*meant)
	if !ok {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.refuse
}

// verifier compares the intended server of an RPC with the certificate of the connection that is
// about to carry it. It is safe for concurrent use.
type verifier struct {
	rule identity.Rule
	log  *slog.Logger

	mu sync.RWMutex
	// proven has the pairs of certificate and server that Check has accepted, so that each is
	// checked once.
	proven map[proof]struct{}
}

type proof struct {
	certificate *x509.Certificate
	server      identity.Server
}

// maxProofs bounds the pairs that a verifier remembers. When it is reached, all are forgotten.
const maxProofs = 4096

// verifier returns the verifier of all connections, or nil if servers need not prove their names.
func (c Config) verifier() *verifier {
	if c.Identity == nil {
		return nil
	}
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &verifier{rule: c.Identity, log: lograte.New(log)}
}

// verified verifies the connections to an address. gRPC calls it for each RPC before it sends the
// RPC.
type verified struct {
	*verifier

	addr string
}

// GetRequestMetadata implements [credentials.PerRPCCredentials]. It adds no metadata.
func (v *verified) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	info, _ := credentials.RequestInfoFromContext(ctx)
	m, ok := ctx.Value(meantKey{}).(*meant)
	if !ok {
		if info.Method == healthpb.Health_Check_FullMethodName { // a probe sends no information
			return nil, nil
		}
		return nil, fmt.Errorf("with an identity template, an interceptor must pass on the context that it got: %s is meant for no server", info.Method)
	}
	err := v.check(&m.server, info.AuthInfo)
	if err == nil {
		return nil, nil
	}
	// Log it: if another server takes the message, its sender gets no error about this one.
	v.log.WarnContext(ctx, "a server did not prove its name", "server", m.server.Name, "topic", m.server.Topic, "exchange", m.server.Exchange,
		"address", v.addr, "reason", err.Error(), "advice", "check the certificate of that server, and what registered in discovery")
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refuse = &rpc.Error{Kind: rpc.Untrusted, NotStarted: true, Cause: refusal.NotProven(), Message: fmt.Sprintf(
		"%s %v; nothing was sent: check the certificate of that server, and whether discovery tells the truth", who(m.server.Name), err)}
	return nil, m.refuse
}

// RequireTransportSecurity implements [credentials.PerRPCCredentials].
func (v *verified) RequireTransportSecurity() bool { return false } // without it, each message fails and says why

// Proves reports whether the other end of a connection, whose credentials are info, has proved to
// be s. A stream that was checked for one server may then also carry messages for s.
func (p *Peer) Proves(info credentials.AuthInfo, s identity.Server) bool {
	v := p.pool.verifier
	return v == nil || v.proves(s, info)
}

func (v *verifier) proves(s identity.Server, info credentials.AuthInfo) bool {
	return v.check(&s, info) == nil
}

func (v *verifier) check(s *identity.Server, info credentials.AuthInfo) error {
	secure, ok := info.(credentials.TLSInfo)
	if !ok || len(secure.State.PeerCertificates) == 0 {
		return v.rule.Check(s, nil)
	}
	key := proof{secure.State.PeerCertificates[0], *s}
	v.mu.RLock()
	_, known := v.proven[key]
	v.mu.RUnlock()
	if known {
		return nil
	}
	if err := v.rule.Check(s, key.certificate); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.proven == nil || len(v.proven) >= maxProofs {
		v.proven = map[proof]struct{}{}
	}
	v.proven[key] = struct{}{}
	return nil
}
