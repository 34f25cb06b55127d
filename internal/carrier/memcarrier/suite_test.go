package memcarrier_test

import (
	"testing"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/carrier/carriertest"
	"github.com/oslorpc/oslorpc/internal/carrier/memcarrier"
	"github.com/oslorpc/oslorpc/internal/client/clienttest"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// harness is an in-memory network.
type harness struct{ memcarrier.Network }

// Carrier implements [carriertest.Harness].
func (h *harness) Carrier(c carriertest.Config) carrier.Carrier {
	return h.Network.Carrier(c.Caller, c.MaxSize)
}

// Serve implements [carriertest.Harness].
func (h *harness) Serve(addr string, p carriertest.Process) {
	h.Network.Serve(addr, p.Intake, p.Capacity)
}

func TestCarrier(t *testing.T) {
	t.Parallel()
	carriertest.Test(t, func(*testing.T) carriertest.Harness { return &harness{} })
}

func TestClients(t *testing.T) {
	clienttest.Run(t, func(*testing.T) clienttest.Network {
		n := &memcarrier.Network{}
		return clienttest.Network{
			Carrier: n.Carrier("tester", 1<<20),
			Listen: func(addr string, in *intake.Intake) (stop func()) {
				n.Serve(addr, in, 0)
				return func() { n.Kill(addr) }
			},
		}
	})
}
