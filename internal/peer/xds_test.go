package peer

import (
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
)

// An xDS name stands for the configuration of its control plane: here two addresses that take
// turns, and a retry policy. RPCs are not retried nevertheless, since only package delivery knows
// when that is safe.
func TestXDS(t *testing.T) {
	var ran [2]atomic.Int32
	var addresses []resolver.Address
	for i := range ran {
		process := start(t, "127.0.0.1:0", grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error {
			ran[i].Add(1)
			return status.Error(codes.Unavailable, "it may have run")
		}))
		addresses = append(addresses, resolver.Address{Addr: process.addr})
	}
	plane := manual.NewBuilderWithScheme("xds")
	plane.BuildCallback = func(_ resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) {
		parsed := cc.ParseServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}], "methodConfig": [{"name": [{}], "retryPolicy":
			{"maxAttempts": 5, "initialBackoff": "0.01s", "maxBackoff": "0.01s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`)
		plane.InitialState(resolver.State{Addresses: addresses, ServiceConfig: parsed})
	}
	p := get(t, "xds:///fleet", grpc.WithResolvers(plane))
	connect(t, p)
	var calls int32
	for ; calls < 20 || ran[0].Load() == 0 || ran[1].Load() == 0; calls++ {
		if err := call(t.Context(), p); status.Code(err) != codes.Unavailable {
			t.Fatal(err)
		}
	}
	if a, b := ran[0].Load(), ran[1].Load(); a+b != calls {
		t.Errorf("of %d calls, the servers ran %d and %d", calls, a, b)
	}
}
