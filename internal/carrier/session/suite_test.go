package session_test

import (
	"testing"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/carrier/carriertest"
	"github.com/oslorpc/oslorpc/internal/carrier/grpccarrier"
	"github.com/oslorpc/oslorpc/internal/carrier/grpccarrier/grpccarriertest"
	"github.com/oslorpc/oslorpc/internal/carrier/session"
	"github.com/oslorpc/oslorpc/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// TestCarrier opens the session before the first message.
func TestCarrier(t *testing.T) {
	t.Parallel()
	carriertest.Test(t, func(t *testing.T) carriertest.Harness {
		n := grpccarriertest.New(t)
		n.Resumes = true
		n.Wrap = func(inner *grpccarrier.Carrier) carrier.Carrier {
			return session.New(inner, session.Config{Eager: true})
		}
		return n
	})
}

// TestCarrierThatBegins opens the session with the first message, which does not wait for it.
func TestCarrierThatBegins(t *testing.T) {
	t.Parallel()
	carriertest.Test(t, func(t *testing.T) carriertest.Harness {
		n := grpccarriertest.New(t)
		n.Wrap = func(inner *grpccarrier.Carrier) carrier.Carrier { return session.New(inner, session.Config{}) }
		return n
	})
}
