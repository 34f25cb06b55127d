package inbound

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/oslorpc/oslorpc/internal/limits"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

const (
	scheme = "bearer"

	// verifyTime bounds a call of the verifier, because the connection waits for it.
	verifyTime = time.Second
	// knownTime is how long a verified token is accepted without another check, unless it expires
	// earlier. It is short, so that tokens become invalid soon after their key is withdrawn.
	knownTime = 10 * time.Second
	// maxKnown bounds the cached tokens.
	maxKnown = 4096
	// maxSubject bounds the name that a token proves, in bytes.
	maxSubject = 1 << 10
)

// Tokens verifies the bearer tokens of RPCs. A nil Tokens ignores them. It is safe for concurrent
// use.
type Tokens struct {
	verifier trust.Verifier
	log      *refusedTokens

	mu    sync.Mutex
	known map[[sha256.Size]byte]known
}

// known is a verified token.
type known struct {
	name  string // that it proves
	until time.Time
}

// NewTokens returns Tokens that use a verifier. It returns nil for a nil verifier.
func NewTokens(v trust.Verifier, log *slog.Logger) *Tokens {
	if v == nil {
		return nil
	}
	return &Tokens{verifier: v, log: &refusedTokens{log: log}, known: map[[sha256.Size]byte]known{}}
}

// identify verifies the token of an RPC, and returns the context with the identity that it proves.
// On error it returns a status and the unchanged context.
func (t *Tokens) identify(ctx context.Context, c *Conn, credentials []string) (context.Context, error) {
	if len(credentials) == 0 {
		if c.peer.Identity.Proof == rpc.ProofNone {
			return ctx, errUnproven
		}
		return ctx, nil
	}
	name, err := t.prove(ctx, credentials)
	if err != nil {
		t.log.add(c.peer.Addr, err)
		return ctx, errToken
	}
	s := &sender{peer: c.peer}
	s.peer.Identity = rpc.Identity{Proof: rpc.ProofToken, Names: slices.Concat([]string{name}, c.peer.Identity.Names)}
	if c.guard != nil {
		if s.account = c.guard.accountOf(name); s.account == nil {
			return ctx, errCallers
		}
	}
	return context.WithValue(ctx, senderKey{}, s), nil
}

// Prove returns the name that the token in an authorization header proves, for requests that do not
// arrive with gRPC. The error is for the sender.
func (t *Tokens) Prove(ctx context.Context, from string, credentials []string) (string, error) {
	if len(credentials) == 0 {
		return "", errors.New("the server requires a token or a certificate, and the caller has none")
	}
	name, err := t.prove(ctx, credentials)
	if err != nil {
		t.log.add(from, err)
		return "", errors.New("the server does not accept the token of the caller")
	}
	return name, nil
}

// prove returns the name that a token proves.
func (t *Tokens) prove(ctx context.Context, credentials []string) (string, error) {
	if len(credentials) > 1 {
		return "", errors.New("there are several authorization headers")
	}
	kind, token, _ := strings.Cut(credentials[0], " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(kind, scheme) || token == "" {
		return "", errors.New("the authorization header has no bearer token")
	}
	now, key := time.Now(), sha256.Sum256([]byte(token))
	t.mu.Lock()
	k, has := t.known[key]
	t.mu.Unlock()
	if has && now.Before(k.until) {
		return k.name, nil
	}
	k, err := t.verify(ctx, token, now)
	if err != nil {
		return "", errors.New(strings.ReplaceAll(err.Error(), token, "(the token)"))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.makeRoom(now)
	t.known[key] = k
	return k.name, nil
}

// verify calls the verifier.
func (t *Tokens) verify(ctx context.Context, token string, now time.Time) (k known, err error) {
	defer func() {
		if p := recover(); p != nil { // it would end the process
			err = fmt.Errorf("the verifier panicked: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, verifyTime)
	defer cancel()
	subject, expires, err := t.verifier.Verify(ctx, token)
	switch {
	case err != nil:
		return known{}, err
	case !isName(subject):
		return known{}, errors.New("the verifier returned a subject that is empty, long or not printable")
	case !expires.IsZero() && !now.Before(expires):
		return known{}, fmt.Errorf("it expired at %s", expires.UTC().Format(time.RFC3339))
	}
	k = known{"token:" + subject, now.Add(knownTime)}
	if !expires.IsZero() && expires.Before(k.until) {
		k.until = expires
	}
	return k, nil
}

func isName(subject string) bool {
	return subject != "" && len(subject) <= maxSubject && utf8.ValidString(subject) &&
		!strings.ContainsFunc(subject, func(r rune) bool { return !unicode.IsPrint(r) })
}

// makeRoom removes cached tokens until there is room for another one. The caller holds the lock.
func (t *Tokens) makeRoom(now time.Time) {
	if len(t.known) < maxKnown {
		return
	}
	for key, k := range t.known {
		if !now.Before(k.until) {
			delete(t.known, key)
		}
	}
	for key := range t.known { // any
		if len(t.known) < maxKnown {
			return
		}
		delete(t.known, key)
	}
}

// sender is the caller of an RPC as its token proves it.
type sender struct {
	peer    rpc.Peer
	account *limits.Caller // nil without limits
}

type senderKey struct{}

// Sender is the caller of an RPC. The zero value stands for no RPC, or for a server without
// [Credentials].
type Sender struct {
	conn   *Conn   // nil in the zero value
	proved *sender // nil without a token
}

// Conn returns the connection of the RPC, or nil for the zero value.
func (s Sender) Conn() *Conn { return s.conn }

// SenderOf returns the caller of the RPC of ctx. It is slower than the methods of Sender, so keep
// the result.
func SenderOf(ctx context.Context) Sender {
	s := Sender{conn: From(ctx)}
	if s.conn.TakesTokens() {
		s.proved, _ = ctx.Value(senderKey{}).(*sender)
	}
	return s
}

// Peer returns the process that sent the RPC, with the identity that its connection and its token
// prove. It returns false for the zero value.
func (s Sender) Peer() (p rpc.Peer, ok bool) {
	switch {
	case s.proved != nil:
		return s.proved.peer, true
	case s.conn != nil:
		return s.conn.peer, true
	default:
		return rpc.Peer{}, false
	}
}

// Account returns the account of the caller, or nil without limits.
func (s Sender) Account() *limits.Caller {
	switch {
	case s.conn == nil || s.conn.guard == nil:
		return nil
	case s.proved != nil:
		return s.proved.account
	default:
		return s.conn.guard.caller
	}
}

// callerOf returns the account of the caller of an RPC on the connection.
func (g *guard) callerOf(ctx context.Context) *limits.Caller {
	if s, ok := ctx.Value(senderKey{}).(*sender); ok {
		return s.account
	}
	return g.caller
}

// maxAccounts bounds the token identities with separate accounts on a connection.
const maxAccounts = 64

// accountOf returns the account of an identity that a token proved on the connection. It returns
// nil if the identity has the maximum number of connections.
func (g *guard) accountOf(name string) *limits.Caller {
	g.mu.Lock()
	defer g.mu.Unlock()
	if a := g.accounts[name]; a != nil {
		return a
	}
	if g.closed {
		return g.caller
	}
	a := g.budget.Join(name, "")
	if a == nil {
		g.budget.Refused(limits.Connections, name)
		return nil
	}
	for other, account := range g.accounts { // any
		if len(g.accounts) < maxAccounts {
			break
		}
		account.Leave()
		delete(g.accounts, other)
	}
	if g.accounts == nil {
		g.accounts = map[string]*limits.Caller{}
	}
	g.accounts[name] = a
	return a
}

// refusedTokens logs refused tokens: one line for each address and interval. It is safe for
// concurrent use.
type refusedTokens struct {
	log *slog.Logger

	mu   sync.Mutex
	seen map[string]*failure // by the address without the port
}

// maxAddresses bounds the addresses that are counted separately.
const maxAddresses = 1000

// add notes a refused token.
func (r *refusedTokens) add(address string, reason error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil || r.seen[host] == nil && len(r.seen) >= maxAddresses {
		r.seen = map[string]*failure{}
	}
	last := r.seen[host]
	if last == nil {
		last = &failure{}
		r.seen[host] = last
	}
	if more, ok := last.isDue(time.Now()); ok {
		r.log.Warn("the token of a client proves nothing", "address", address, "reason", reason, "more_since_last", more)
	}
}
