package middleware_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/auth"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/pkg/middleware"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// userKey is the key of the caller's name in the context of a method.
type userKey struct{}

// authenticate reads a bearer token from the metadata of a message. The program verifies the token.
// Tokens that oslorpc verifies itself, with trust.Config.Tokens, are not in the metadata.
func authenticate(ctx context.Context) (context.Context, error) {
	token, err := auth.AuthFromMD(ctx, "bearer")
	if err != nil {
		return nil, err
	}
	if token != "secret" {
		return nil, status.Error(codes.PermissionDenied, "the token is not valid")
	}
	return context.WithValue(ctx, userKey{}, "alice"), nil
}

// Two interceptors of go-grpc-middleware see each message of a server. The authentication decides
// before the message is accepted, so even the sender of a cast learns about a refusal. The log is
// written around the run of the method.
func Example_ecosystem() {
	logger := logging.LoggerFunc(func(_ context.Context, _ logging.Level, text string, fields ...any) {
		for i := logging.Fields(fields).Iterator(); i.Next(); {
			if name, value := i.At(); name == "grpc.method" {
				fmt.Println(text+":", value)
			}
		}
	})
	server, err := oslorpc.Open("memory://ecosystem", oslorpc.WithLogger(slog.New(slog.DiscardHandler)), oslorpc.WithInterceptors(
		middleware.UnaryAccept(auth.UnaryServerInterceptor(authenticate)),
		middleware.UnaryRun(logging.UnaryServerInterceptor(logger, logging.WithLogOnEvents(logging.FinishCall))),
	))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	s := server.Server(oslorpc.Target{Topic: "greetings", Server: "node1"})
	s.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"greet": oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (string, error) {
			return fmt.Sprint("hello, ", ctx.Value(userKey{})), nil
		}),
	}})
	if err := s.Start(context.Background()); err != nil {
		fmt.Println(err)
		return
	}

	for _, token := range []string{"secret", "guessed"} {
		client, err := oslorpc.Open("memory://ecosystem", oslorpc.WithInterceptors(oslorpc.Interceptor{
			Send: func(ctx context.Context, m *oslorpc.Message, next rpc.Next) error {
				m.Metadata.Set("authorization", "Bearer "+token)
				return next(ctx)
			},
		}))
		if err != nil {
			fmt.Println(err)
			return
		}
		greeting, err := oslorpc.Call[string](context.Background(), client.Client(oslorpc.Target{Topic: "greetings"}), "greet", nil)
		fmt.Println(greeting, oslorpc.KindOf(err), oslorpc.SafeToRetry(err))
		_ = client.Close()
	}
	// Output:
	// finished call: greet
	// hello, alice unknown error false
	//  access denied true
}
