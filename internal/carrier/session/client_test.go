package session_test

import (
	"testing"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/carrier/grpccarrier"
	"github.com/oslorpc/oslorpc/internal/carrier/session"
	"github.com/oslorpc/oslorpc/internal/client/clienttest"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/peer"
	"github.com/oslorpc/oslorpc/internal/peer/peertest"
	"github.com/oslorpc/oslorpc/internal/service"
)

func TestClients(t *testing.T) {
	clienttest.Run(t, func(*testing.T) clienttest.Network {
		network := &peertest.Network{}
		inner := grpccarrier.New(grpccarrier.Config{Peers: peer.Config{Dial: network.Dial}, MaxSize: 1 << 20, MaxHeader: 8 << 10})
		return clienttest.Network{
			Carrier: session.New(inner, session.Config{Eager: true}),
			Listen: func(addr string, in *intake.Intake) (stop func()) {
				services := service.New(in)
				register := func(r grpc.ServiceRegistrar) {
					services.Register(r, false)
					services.RegisterTyped(r.(*grpc.Server))
				}
				return network.Serve(addr, register, grpc.UnknownServiceHandler(services.Unknown))
			},
		}
	})
}
