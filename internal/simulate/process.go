package main

import (
	"context"
	"log/slog"
	"net"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/inprocess"
	"github.com/oslorpc/oslorpc/internal/memnet"
	"github.com/oslorpc/oslorpc/internal/phase"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// process is an option that simulates a separate process for a transport; see [inprocess.Option].
type process struct {
	oslorpc.TransportOption // changes nothing

	network *memnet.Network
}

// InProcess implements [inprocess.Option].
func (p process) InProcess() *inprocess.Process {
	return &inprocess.Process{
		Registry: func(r registry.Registry) registry.Registry { return r },
		Listen:   func() (net.Listener, string) { return p.network.Listen() },
		Dial:     p.network.Dial,
		Starts:   func(*phase.Machine) {},
		Accepted: func(oslorpc.Target, *dispatch.Request) {},
		Before:   func(context.Context) error { return nil },
	}
}

func (s *simulation) open() (*oslorpc.Transport, error) {
	return oslorpc.Open(s.url, process{oslorpc.WithInterceptors(), &s.network},
		oslorpc.WithLogger(slog.New(slog.DiscardHandler)), oslorpc.WithStopGrace(0),
		// All processes have the same address, so they count as one caller.
		oslorpc.WithLimits(rpc.Limits{CallerConnections: 2 * len(s.agents), CallerStreams: 2 * len(s.agents)}))
}
