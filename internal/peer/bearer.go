package peer

import (
	"context"
	"fmt"

	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// bearer sends a token with each RPC, but only where no other program can read it: on encrypted
// connections and on Unix sockets.
type bearer struct {
	token  func() string
	socket bool // the connections are Unix sockets
}

// GetRequestMetadata implements [credentials.PerRPCCredentials].
func (b *bearer) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	info, _ := credentials.RequestInfoFromContext(ctx)
	m, ok := ctx.Value(meantKey{}).(*meant)
	if !ok && info.Method == healthpb.Health_Check_FullMethodName {
		return nil, nil // a probe sends no information, so it needs no token: even an error is an answer
	}
	if b.socket || isEncrypted(info.AuthInfo) {
		return map[string]string{header.Authorization: "Bearer " + b.token()}, nil
	}
	server := ""
	if ok {
		server = m.server.Name
	}
	err := &rpc.Error{Kind: rpc.Untrusted, NotStarted: true, Message: fmt.Sprintf(
		"%s would get the token of this client in clear, so nothing was sent: use TLS (trust.Config.CA) or a Unix socket, or send no token (trust.Config.TokenFile)",
		who(server))}
	if ok {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.refuse = err
	}
	return nil, err
}

// RequireTransportSecurity implements [credentials.PerRPCCredentials].
func (b *bearer) RequireTransportSecurity() bool { return false } // without it, each message fails and says why

// isEncrypted reports whether the credentials of a connection say that it is encrypted.
func isEncrypted(info credentials.AuthInfo) bool {
	if _, ok := info.(credentials.TLSInfo); ok {
		return true
	}
	known, ok := info.(interface {
		GetCommonAuthInfo() credentials.CommonAuthInfo
	})
	return ok && known.GetCommonAuthInfo().SecurityLevel == credentials.PrivacyAndIntegrity
}
