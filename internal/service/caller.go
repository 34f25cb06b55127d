package service

import (
	"context"
	"strings"

	"google.golang.org/grpc/metadata"

	"github.com/oslorpc/oslorpc/internal/dispatch"
)

// callerOf returns the name that the program at the other end gives itself.
func callerOf(ctx context.Context) string {
	if agents := metadata.ValueFromIncomingContext(ctx, "user-agent"); len(agents) > 0 {
		return callerIn(agents[0])
	}
	return dispatch.UnknownCaller
}

// callerIn returns a user agent without what gRPC appends to that of a program: "agent grpc-go/1.76.0" and
// "agent grpc-python/1.60.0 grpc-c/37.0.0 (linux; chttp2)" are of the program agent. One that says nothing but gRPC's own keeps the first.
func callerIn(agent string) string {
	if name, _, _ := strings.Cut(agent, " grpc-"); name != "" {
		return name
	}
	return dispatch.UnknownCaller
}
