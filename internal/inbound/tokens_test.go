package inbound

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/oslorpc/oslorpc/internal/limits"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// verifier trusts tokens of the form "subject" and counts its calls.
type verifier struct {
	asked int
	life  time.Duration // 0 for tokens that do not expire
	err   error
}

func (v *verifier) Verify(_ context.Context, token string) (subject string, expires time.Time, err error) {
	v.asked++
	if v.life != 0 {
		expires = time.Now().Add(v.life)
	}
	return token, expires, v.err
}

// tapped has tokens, a connection with the limits of a budget, and the log.
type tapped struct {
	*Tokens

	conn *Conn
	log  *bytes.Buffer
}

func newTapped(v *verifier, l rpc.Limits) *tapped {
	log := &bytes.Buffer{}
	c := &Conn{peer: rpc.Peer{Addr: "10.0.0.1:5"}, tokens: v != nil}
	c.addr = &addr{&net.TCPAddr{}, c}
	budget := limits.New(l.WithDefaults(), slog.New(slog.DiscardHandler))
	c.guard = newGuard(nil, budget, budget.Join("", "address 10.0.0.1"))
	return &tapped{NewTokens(v, slog.New(slog.NewTextHandler(log, nil))), c, log}
}

// rpc simulates an RPC with a token.
func (t *tapped) rpc(ctx context.Context, token string) (context.Context, error) {
	md := metadata.Pairs("authorization", "Bearer "+token)
	ctx = metadata.NewIncomingContext(peer.NewContext(ctx, &peer.Peer{Addr: t.conn.addr}), md)
	return t.Tap(ctx, &tap.Info{Header: md})
}

// A token is verified again after a while and when it expires.
func TestTokensAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for life, want := range map[time.Duration]time.Duration{0: knownTime, time.Hour: knownTime, 2 * time.Second: 2 * time.Second} {
			v := &verifier{life: life}
			s := newTapped(v, rpc.Limits{})
			use := func(want int) {
				t.Helper()
				if _, err := s.rpc(t.Context(), "a"); err != nil || v.asked != want {
					t.Errorf("the verifier was asked %d times, want %d, with the error %v", v.asked, want, err)
				}
			}
			use(1)
			time.Sleep(want - 1)
			use(1)
			time.Sleep(1)
			use(2)
			v.err = errors.New("no more")
			if _, err := s.rpc(t.Context(), "b"); err == nil {
				t.Error("a token of the same verifier is trusted")
			}
			time.Sleep(want)
			if _, err := s.rpc(t.Context(), "a"); err == nil {
				t.Error("a token is trusted that the verifier does not trust any more")
			}
		}
	})
}

// Callers with many tokens fill neither the memory nor the log.
func TestTokensAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &verifier{}
		s := newTapped(v, rpc.Limits{})
		for i := range 2 * maxKnown {
			if _, err := s.rpc(t.Context(), fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(s.known); n != maxKnown {
			t.Errorf("%d tokens are remembered", n)
		}
		if n := len(s.conn.guard.accounts); n != maxAccounts {
			t.Errorf("%d accounts are there", n)
		}
		time.Sleep(knownTime)
		if _, err := s.rpc(t.Context(), "a"); err != nil || len(s.known) != 1 {
			t.Errorf("%d tokens are remembered that expired: %v", len(s.known), err)
		}
		v.err = errors.New("no")
		for i := range 2 * maxAddresses {
			s.conn.peer.Addr = fmt.Sprintf("10.0.%d.%d:1", i/256, i%256)
			for range 3 {
				if _, err := s.rpc(t.Context(), "b"); err == nil {
					t.Fatal("it was let in")
				}
			}
		}
		if n := len(s.log.String()) / len("\n"); strings.Count(s.log.String(), "\n") != 2*maxAddresses || len(s.Tokens.log.seen) > maxAddresses {
			t.Errorf("the log has %d lines of %d bytes, of %d addresses", strings.Count(s.log.String(), "\n"), n, len(s.Tokens.log.seen))
		}
		time.Sleep(failureInterval)
		s.log.Reset()
		if _, err := s.rpc(t.Context(), "b"); err == nil || !strings.Contains(s.log.String(), "more_since_last=2") {
			t.Errorf("the log has %q", s.log)
		}
	})
}

// Messages count for the identity of their token, across connections, and not for others on the
// same connection.
func TestTokensHaveAccounts(t *testing.T) {
	s := newTapped(&verifier{}, rpc.Limits{})
	account := func(conn *Conn, token string) *limits.Caller {
		t.Helper()
		ctx, err := (&tapped{s.Tokens, conn, nil}).rpc(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		return SenderOf(ctx).Account()
	}
	second := &Conn{tokens: true}
	second.addr = &addr{&net.TCPAddr{}, second}
	second.guard = newGuard(nil, s.conn.guard.budget, s.conn.guard.budget.Join("", "address 10.0.0.2"))
	a := account(s.conn, "a")
	if a.String() != "token:a" || account(second, "a") != a || account(s.conn, "b") == a || a == s.conn.guard.caller {
		t.Error("the accounts do not belong to the identities")
	}
	s.conn.guard.close()
	if account(second, "a") != a {
		t.Error("the account ended with one of two connections")
	}
	second.guard.close()
	if again := s.conn.guard.budget.Join("token:a", ""); again == a {
		t.Error("the account did not end with its connections")
	}
}

// An identity of a token may have as many connections as an identity of a certificate.
func TestTokenConnectionsAreLimited(t *testing.T) {
	s := newTapped(&verifier{}, rpc.Limits{CallerConnections: 1})
	if _, err := s.rpc(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.rpc(t.Context(), "a"); err != nil {
		t.Errorf("its second message is refused: %v", err)
	}
	second := &Conn{tokens: true}
	second.addr = &addr{&net.TCPAddr{}, second}
	second.guard = newGuard(nil, s.conn.guard.budget, s.conn.guard.budget.Join("", "address 10.0.0.2"))
	if _, err := (&tapped{s.Tokens, second, nil}).rpc(t.Context(), "a"); status.Convert(err).Message() != status.Convert(errCallers).Message() {
		t.Errorf("got %v", err)
	}
}

// Without a verifier, tokens prove nothing and belong to the program.
func TestNoVerifier(t *testing.T) {
	s := newTapped(&verifier{}, rpc.Limits{})
	s.Tokens = NewTokens(nil, nil)
	ctx, err := s.rpc(t.Context(), "a")
	md, _ := metadata.FromIncomingContext(ctx)
	p, ok := SenderOf(ctx).Peer()
	if err != nil || len(md.Get("authorization")) != 1 || !ok || p.Identity.Proof != rpc.ProofNone || SenderOf(ctx).Account() != s.conn.guard.caller {
		t.Errorf("got %v, %v, %v", p, md, err)
	}
}
