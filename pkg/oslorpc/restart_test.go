package oslorpc_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// serving returns an endpoint of a version, whose method who returns this version.
func serving(version string) oslorpc.Endpoint {
	return oslorpc.Endpoint{Version: version, Methods: map[string]oslorpc.Method{
		"who": oslorpc.Func(func(context.Context, struct{}) (string, error) { return version, nil }),
	}}
}

// A stopped server does not hold the automatic cap down, even though its process still serves
// something else and is connected.
func TestStoppedServerDoesNotHoldTheCapDown(t *testing.T) {
	shared := open(t)
	old := serveOn(t, shared, oslorpc.Target{Topic: "agents", Server: "old"}, serving("1.1"))
	serveOn(t, shared, oslorpc.Target{Topic: "other", Server: "old"}, serving("1.0"))
	serveOn(t, open(t), oslorpc.Target{Topic: "agents", Server: "new"}, serving("1.2"))
	c := client(t, oslorpc.WithVersionCap("auto"))
	for range 4 { // to be connected to both
		if _, err := oslorpc.Call[string](t.Context(), c, "who", nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := old.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "the server that is left decides the cap", func() bool {
		why, err := c.Why(t.Context())
		return err == nil && why.Version.String() == "1.2" && len(why.Holders) == 1 && why.Holders[0].Server == "new"
	})
}

// The only server with a version restarts gracefully within its process, beside an older server.
// Calls and casts of that version wait.
func TestRestartOfTheOnlyServerWithAVersion(t *testing.T) {
	shared := open(t)
	serveOn(t, open(t), oslorpc.Target{Topic: "agents", Server: "old"}, serving("1.1"))
	serveOn(t, shared, oslorpc.Target{Topic: "other", Server: "new"}, serving("1.0"))
	running := serveOn(t, shared, oslorpc.Target{Topic: "agents", Server: "new"}, serving("1.2"))
	c := client(t).Prepare(oslorpc.WithVersion("1.2"))
	call := func() error {
		_, err := oslorpc.Call[string](t.Context(), c, "who", nil)
		return err
	}
	cast := func() error { return c.Cast(t.Context(), "who", nil) }
	for name, send := range map[string]func() error{"call": call, "cast": cast} {
		if err := send(); err != nil {
			t.Fatal(err)
		}
		if err := running.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		sent := make(chan error, 1)
		go func() { sent <- send() }()
		select {
		case err := <-sent:
			t.Errorf("%s: while no server has the version: %v", name, err)
		case <-time.After(300 * time.Millisecond):
			running = serveOn(t, shared, oslorpc.Target{Topic: "agents", Server: "new"}, serving("1.2"))
			if err := <-sent; err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// Ping does not need a free stream on a connection whose streams are all in use. Messages for any
// server go to another server.
func TestServerWithoutAFreeStream(t *testing.T) {
	const streams = 4
	crowded := open(t, oslorpc.WithServerOptions(grpc.MaxConcurrentStreams(streams)))
	waits := oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"wait": oslorpc.Func(func(ctx context.Context, _ struct{}) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	})}}
	s := serveOn(t, crowded, oslorpc.Target{Topic: "agents", Server: "crowded"}, waits, serving("1.1"))
	serveOn(t, open(t), oslorpc.Target{Topic: "agents", Server: "idle"}, serving("1.1"))
	transport := open(t)
	c := transport.Client(oslorpc.Target{Topic: "agents"}, oslorpc.WithTimeout(time.Minute))
	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	for range streams {
		waiting.Go(func() { _, _ = oslorpc.Call[string](ctx, c.Prepare(oslorpc.WithServer("crowded")), "wait", nil) })
	}
	t.Cleanup(waiting.Wait)
	t.Cleanup(cancel)
	instance, _ := s.Instance()
	until(t, "all streams are in use", func() bool {
		info, err := transport.Info(t.Context(), instance)
		return err == nil && len(info.Servers) == 1 && info.Servers[0].Running == streams
	})
	begin := time.Now()
	if _, err := transport.Ping(t.Context(), instance); err != nil {
		t.Error(err)
	}
	for range 20 {
		if _, err := oslorpc.Call[string](t.Context(), c, "who", nil); err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(begin); took > 500*time.Millisecond {
		t.Errorf("with all streams in use at one server, a ping and 20 calls took %v", took)
	}
}
