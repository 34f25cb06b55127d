package conformance

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

const (
	oneTransport = "upstream warns of an RPC client or server on a transport for notifications; here there is one kind of transport, " +
		"so no transport can be of the wrong kind, and there is no warning"
	serverCounts = "upstream's client sends a datagram for each message to a collector; here there are no datagrams, and each server counts " +
		"the messages that it starts, by method, and `oslorpc info` and Transport.Info show the counts"
)

// These cases cover features around clients and servers that oslo.messaging has and oslorpc does
// not: kinds of transports, and a collector of metrics.
func TestSurroundings(t *testing.T) {
	one(t, row{"3.9a", oneTransport}, func(t *testing.T) {
		transport, err := oslorpc.Open("notify://notifications")
		wantKind(t, err, oslorpc.Invalid)
		if transport != nil {
			t.Error("there is a transport")
		}
	})
	one(t, row{"3.9b", oneTransport}, func(t *testing.T) {
		var log bytes.Buffer
		o := opened(t, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})))
		o.serve(t, "topic1")
		if _, err := oslorpc.Call[string](t.Context(), o.Client(oslorpc.Target{Topic: "topic1"}), "foo", nil); err != nil {
			t.Error(err)
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
		if log.Len() > 0 {
			t.Errorf("it logged %s", &log)
		}
	})
	// A call to one topic and a cast to another topic are counted separately.
	one(t, row{"3.10", serverCounts}, func(t *testing.T) {
		o := opened(t, slog.New(slog.DiscardHandler))
		first, second := o.serve(t, "topic1"), o.serve(t, "topic2")
		c := o.Client(oslorpc.Target{Topic: "topic1"})
		if _, err := oslorpc.Call[string](t.Context(), c, "foo", nil); err != nil {
			t.Error(err)
		}
		if err := c.Prepare(oslorpc.WithTopic("topic2")).Cast(t.Context(), "bar", nil); err != nil {
			t.Error(err)
		}
		<-second.ran // the cast
		o.wantStarted(t, first, map[string]int64{"foo": 1, "bar": 0})
		o.wantStarted(t, second, map[string]int64{"foo": 0, "bar": 1})
	})
}

type counted struct {
	*oslorpc.Server

	ran chan string
}

type surroundings struct{ *oslorpc.Transport }

func opened(t *testing.T, log *slog.Logger) surroundings {
	t.Helper()
	transport, err := oslorpc.Open("memory://surroundings", oslorpc.WithStopGrace(0), oslorpc.WithLogger(log))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := transport.Close(); err != nil {
			t.Error(err)
		}
	})
	return surroundings{transport}
}

// serve starts a server with the methods foo and bar.
func (s surroundings) serve(t *testing.T, topic string) counted {
	t.Helper()
	c := counted{s.Server(oslorpc.Target{Topic: topic, Server: "testserver"}), make(chan string, 10)}
	methods := map[string]oslorpc.Method{}
	for _, name := range []string{"foo", "bar"} {
		methods[name] = oslorpc.Func(func(context.Context, oslorpc.NoArgs) (string, error) {
			c.ran <- name
			return name, nil
		})
	}
	c.Add(oslorpc.Endpoint{Methods: methods})
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// wantStarted fails unless a server reports this many started messages for each method.
func (s surroundings) wantStarted(t *testing.T, c counted, want map[string]int64) {
	t.Helper()
	instance, _ := c.Instance()
	info, err := s.Info(t.Context(), instance)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, server := range info.Servers {
		for _, endpoint := range server.Endpoints {
			for _, method := range endpoint.Methods {
				got[method.Name] += method.Started
			}
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("%s started %v, want %v", instance.Topic, got, want)
	}
}
