package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/bench/compare"
	typedtestv1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// These are the size of the payload, and the size of the answers to large calls.
const (
	payloadSize = 1 << 10
	bulkSize    = 16 << 20
)

// side is one way to carry messages, with running servers.
type side struct {
	name                      string
	call, typed, cast, fanout func(context.Context) error
	// bulk is a call whose request and answer have 16 MiB. It is nil if the side is not made for
	// such calls.
	bulk   func(context.Context) error
	closes []func() error
}

func (s *side) close() error {
	var err error
	for _, f := range slices.Backward(s.closes) {
		err = errors.Join(err, f())
	}
	return err
}

// openSides starts all sides, each with the given number of servers. Raw gRPC is the first one.
func openSides(ctx context.Context, servers int) ([]*side, error) {
	var sides []*side
	for _, open := range []func(context.Context, int) (*side, error){
		openRaw,
		func(ctx context.Context, n int) (*side, error) { return openOurs(ctx, "unary", n) },
		func(ctx context.Context, n int) (*side, error) { return openOurs(ctx, "session", n) },
		openNATS,
		func(ctx context.Context, n int) (*side, error) {
			return openFloor(ctx, "streams", compare.NewStreamFloor, n)
		},
		func(ctx context.Context, n int) (*side, error) { return openFloor(ctx, "tcp", compare.NewTCPFloor, n) },
	} {
		s, err := open(ctx, servers)
		if s != nil {
			sides = append(sides, s)
		}
		if err != nil {
			return sides, err
		}
	}
	return sides, nil
}

// openRaw sends the messages of oslorpc with an RPC for each message. It adds 100 bytes, about as
// many as the envelope.
func openRaw(ctx context.Context, _ int) (*side, error) {
	s := &side{name: "raw"}
	r, err := compare.NewRaw(ctx, compare.Sizes{Request: payloadSize + 100, Reply: payloadSize}, 0)
	if err != nil {
		return nil, err
	}
	s.closes = append(s.closes, r.Close)
	s.call, s.typed, s.cast, s.fanout = r.Call, r.Call, r.Call, r.Call
	return s, nil
}

// openFloor exchanges only the messages of a fanout, without oslorpc.
func openFloor(ctx context.Context, name string, open func(ctx context.Context, servers, size int) (*compare.Floor, error), servers int) (*side, error) {
	f, err := open(ctx, servers, payloadSize+100)
	s := &side{name: name, closes: []func() error{f.Close}, fanout: f.Send}
	return s, err
}

// This is the target of our messages.
const (
	topic, version = "bench", "1.0"
	echo, accept   = "echo", "accept"
)

var openedSides atomic.Int64

// volumes is a typed service that echoes its messages.
type volumes struct {
	typedtestv1.UnimplementedInventoryServiceServer
}

func (volumes) GetVolume(_ context.Context, r *typedtestv1.GetVolumeRequest) (*typedtestv1.GetVolumeResponse, error) {
	return &typedtestv1.GetVolumeResponse{Name: r.GetName()}, nil
}

var quiet = oslorpc.WithLogger(slog.New(slog.DiscardHandler))

// limits allow messages of 16 MiB.
var limits = oslorpc.WithLimits(rpc.Limits{MessageSize: 2 * bulkSize})

func openOurs(ctx context.Context, carrier string, servers int) (*side, error) {
	s := &side{name: carrier}
	url := fmt.Sprintf("memory://bench-%d", openedSides.Add(1))
	for i := range servers {
		if err := s.serveOurs(ctx, url, fmt.Sprint("server-", i)); err != nil {
			return s, err
		}
	}
	t, err := oslorpc.Open(url+"?carrier="+carrier, quiet, limits)
	if err != nil {
		return s, err
	}
	s.closes = append(s.closes, t.Close)
	client := t.Client(oslorpc.Target{Topic: topic, Version: version}, oslorpc.WithTimeout(compare.Deadline))
	small, bulk := jsonText(payloadSize), jsonText(bulkSize)
	calls := func(args oslorpc.Raw) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := oslorpc.Call[oslorpc.Raw](ctx, client, echo, args)
			return err
		}
	}
	s.call, s.bulk = calls(small), calls(bulk)
	s.cast = func(ctx context.Context) error { return client.Cast(ctx, accept, small) }
	s.fanout = func(ctx context.Context) error {
		report, err := client.Fanout(ctx, accept, small)
		if err == nil && len(report.Accepted) != servers {
			err = fmt.Errorf("%d of %d servers accepted: %w", len(report.Accepted), servers, report.Err())
		}
		return err
	}
	stub := typedtestv1.NewInventoryServiceClient(t.Client(oslorpc.Target{Topic: topic + "-typed"}, oslorpc.WithTimeout(compare.Deadline)))
	request := &typedtestv1.GetVolumeRequest{Name: strings.Repeat("x", payloadSize)}
	s.typed = func(ctx context.Context) error {
		_, err := stub.GetVolume(ctx, request)
		return err
	}
	return s, s.warmUp(ctx)
}

// serveOurs starts one process with a server of dynamic methods and a server of a typed service.
func (s *side) serveOurs(ctx context.Context, url, name string) error {
	t, err := oslorpc.Open(url, quiet, limits, oslorpc.WithStopGrace(0))
	if err != nil {
		return err
	}
	s.closes = append(s.closes, t.Close)
	server := t.Server(oslorpc.Target{Topic: topic, Server: name})
	server.Add(oslorpc.Endpoint{Version: version, Methods: map[string]oslorpc.Method{
		echo:   oslorpc.Func(func(_ context.Context, args oslorpc.Raw) (oslorpc.Raw, error) { return args, nil }),
		accept: oslorpc.Func(func(context.Context, oslorpc.Raw) (oslorpc.Raw, error) { return "null", nil }),
	}})
	typed := t.Server(oslorpc.Target{Topic: topic + "-typed", Server: name})
	typedtestv1.RegisterInventoryServiceServer(grpc.ServiceRegistrar(typed), volumes{})
	return errors.Join(server.Start(ctx), typed.Start(ctx))
}

// warmUp makes calls and fanouts until ten rounds succeeded. After that, the client is connected to
// all servers and has sessions, if the side uses them. A busy machine does not connect to a
// thousand servers at once.
func (s *side) warmUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, compare.Deadline)
	defer cancel()
	for n := 0; n < 10; time.Sleep(time.Millisecond) {
		err := errors.Join(s.call(ctx), s.fanout(ctx))
		if ctx.Err() != nil {
			return err
		}
		if err == nil {
			n++
		}
	}
	return nil
}

// jsonText returns a JSON text of n bytes.
func jsonText(n int) oslorpc.Raw {
	const frame = `{"data":""}`
	return oslorpc.Raw(`{"data":"` + strings.Repeat("x", n-len(frame)) + `"}`)
}
