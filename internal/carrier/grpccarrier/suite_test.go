package grpccarrier_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/carrier/carriertest"
	"github.com/oslorpc/oslorpc/internal/carrier/grpccarrier/grpccarriertest"
	"github.com/oslorpc/oslorpc/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestCarrier(t *testing.T) {
	t.Parallel()
	carriertest.Test(t, func(t *testing.T) carriertest.Harness { return grpccarriertest.New(t) })
}

// TestCarrierWithInterceptors puts interceptors of the program between the carrier and gRPC.
func TestCarrierWithInterceptors(t *testing.T) {
	t.Parallel()
	unary := func(
		ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
	) error {
		return invoke(ctx, method, request, reply, conn, options...)
	}
	stream := func(
		ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption,
	) (grpc.ClientStream, error) {
		return open(ctx, desc, conn, method, options...)
	}
	carriertest.Test(t, func(t *testing.T) carriertest.Harness {
		n := grpccarriertest.New(t)
		n.Options = []grpc.DialOption{grpc.WithUnaryInterceptor(unary), grpc.WithStreamInterceptor(stream)}
		return n
	})
}
