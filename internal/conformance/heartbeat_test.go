package conformance

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/phase"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	"github.com/oslorpc/oslorpc/internal/service"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

const (
	short     = "upstream sends no heartbeats for a timeout below two seconds, and warns; here heartbeats come for any timeout, at most one every 10 ms"
	aDuration = "upstream also takes the timeout as text, and warns if the text is not a number; here it is a duration"
	noMonitor = "upstream warns of a negative timeout; here 0 or less means no monitoring, as documented, and a text is not possible"
	beatsLeak = "upstream sends heartbeats for a message that it refused until the process ends; here they end with the answer"
)

// line is a stream whose other end is the test. Only one goroutine uses it at a time.
type line struct {
	grpc.ServerStreamingServer[pb.MonitoredCallResponse]

	ctx      context.Context
	broken   error // the error of sending a heartbeat
	beats    int   // how many were tried
	response *pb.CallResponse
}

func (l *line) SetHeader(metadata.MD) error { return nil }

func (l *line) Context() context.Context { return l.ctx }

func (l *line) Send(m *pb.MonitoredCallResponse) error {
	if m.GetHeartbeat() != nil {
		l.beats++
		return l.broken
	}
	l.response = m.GetResponse()
	return nil
}

// lasting returns a process in place of the recorder. Its method foo returns 7 after a time, or
// fails at once.
func lasting(t *testing.T, long time.Duration, fails error) *service.Services {
	t.Helper()
	foo := func(ctx context.Context, emit dispatch.Emit) error {
		if fails != nil {
			return &dispatch.MethodError{Err: fails}
		}
		select {
		case <-time.After(long):
			return emit("7")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	table := dispatch.NewTable([]dispatch.Endpoint{{Namespaces: []string{""}, Version: rpc.DefaultVersion, Methods: map[string]*dispatch.Method{
		"foo": {Bind: func(string) (dispatch.Invocation, error) { return foo, nil }},
	}}})
	d := dispatch.New(dispatch.Config{
		Name: "testserver", Table: table, Limits: dispatch.DefaultLimits, Phase: phase.Opened(), Log: slog.New(slog.DiscardHandler),
	})
	t.Cleanup(func() {
		if err := d.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	in := intake.New(intake.Config{
		BootID: "boot", Exchange: exchanges[0], MaxSize: rpc.Limits{}.WithDefaults().MessageSize, Log: slog.New(slog.DiscardHandler),
	})
	in.SetServers([]*intake.Server{{Dispatch: d, Instance: rpc.Instance{
		ID: exchanges[0] + "/testserver", BootID: "boot", Exchange: exchanges[0], Topic: topic, Server: "testserver", State: rpc.StateActive,
	}}})
	return service.New(in)
}

// The test passes the client's message to a server unchanged. Time is faked, so heartbeats can be
// counted.
func TestHeartbeats(t *testing.T) {
	type test struct {
		row

		monitor         options // of the client; nil: none
		method, version string
		long            time.Duration
		fails, broken   error // of the method, of each heartbeat
		want            int   // the heartbeats that are tried
		kind            oslorpc.Kind
	}
	monitor := func(d time.Duration) options { return options{oslorpc.WithCallMonitorTimeout(d)} }
	const ms = time.Millisecond
	ouch := errors.New("ouch")
	each(t, "W", 9, nil, []test{
		{row{id: "W1"}, monitor(2 * time.Second), "foo", "1.0", 3500 * ms, nil, ouch, 1, 0},
		{row{id: "W2a"}, nil, "foo", "1.0", 100 * ms, nil, nil, 0, 0},
		{row{id: "W2b"}, monitor(0), "foo", "1.0", 100 * ms, nil, nil, 0, 0},
		// The method ends between two heartbeats. If it ended at the time of a heartbeat, the order
		// would be undefined.
		{row{"W3a", short}, monitor(time.Second), "foo", "1.0", 1400 * ms, nil, nil, 2, 0},
		{row{"W3b", short}, monitor(1900 * ms), "foo", "1.0", 1500 * ms, nil, nil, 1, 0},
		{row{id: "W4"}, monitor(2 * time.Second), "foo", "1.0", 3200 * ms, nil, nil, 3, 0},
		{row{id: "W5"}, monitor(3 * time.Second), "foo", "1.0", 3200 * ms, nil, nil, 2, 0},
		{row{"W6", aDuration}, monitor(4 * time.Second), "foo", "1.0", 2200 * ms, nil, nil, 1, 0},
		{row{"W7", noMonitor}, monitor(-5 * time.Second), "foo", "1.0", 100 * ms, nil, nil, 0, 0},
		{row{id: "W8"}, monitor(2 * time.Second), "foo", "1.0", 0, ouch, nil, 0, oslorpc.Remote},
		{row{"W9a", beatsLeak}, monitor(2 * time.Second), "nope", "1.0", 0, nil, nil, 0, oslorpc.NoSuchMethod},
		{row{"W9b", beatsLeak}, monitor(2 * time.Second), "foo", "2.0", 0, nil, nil, 0, oslorpc.UnsupportedVersion},
	}, func(t *testing.T, test test) {
		synctest.Test(t, func(t *testing.T) {
			r, transport := record(t)
			c := transport.Client(oslorpc.Target{Topic: topic, Server: "testserver", Version: test.version}, test.monitor...)
			if err := send(t.Context(), c, "call", test.method, nil); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			process, stream := lasting(t, test.long, test.fails), &line{ctx: t.Context(), broken: test.broken}
			err := stream.ask(t, process, single(t, r))
			if took := time.Since(start); took != test.long {
				t.Errorf("it took %v, want %v", took, test.long)
			}
			<-time.After(time.Hour) // nothing follows
			if stream.beats != test.want {
				t.Errorf("%d heartbeats were tried, want %d", stream.beats, test.want)
			}
			if test.kind != 0 {
				if got := rpcstatus.Decode(err, true); oslorpc.KindOf(got) != test.kind {
					t.Errorf("got %v, want %s", got, test.kind.Name())
				}
				return
			}
			if err != nil || stream.response.GetResult().GetJson() != "7" {
				t.Errorf("the result is %v, %v, want 7", stream.response, err)
			}
		})
	})
}

// ask passes a message to a process by the RPC with which it was sent.
func (l *line) ask(t *testing.T, process *service.Services, m sent) (err error) {
	t.Helper()
	switch m.kind {
	case "monitored call":
		return process.MonitoredCall(&pb.MonitoredCallRequest{Message: m.Message, HeartbeatInterval: durationpb.New(m.heartbeat)}, l)
	case "call":
		l.response, err = process.Call(l.ctx, &pb.CallRequest{Message: m.Message})
		return err
	default:
		t.Fatalf("a %s was sent", m.kind)
		return nil
	}
}
