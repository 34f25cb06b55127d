package memcarrier

import (
	"testing"

	"github.com/oslorpc/oslorpc/internal/carrier/carriertest"
	"github.com/oslorpc/oslorpc/internal/client/clienttest"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestClients(t *testing.T) {
	clienttest.Run(t, func(t *testing.T) clienttest.Network {
		n := New(t)
		return clienttest.Network{
			Carrier: n.Carrier(carriertest.Config{Caller: "tester"}),
			Listen: func(addr string, in *intake.Intake) (stop func()) {
				n.Serve(addr, carriertest.Process{Intake: in})
				return func() { n.Kill(addr) }
			},
		}
	})
}
