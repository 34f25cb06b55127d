//go:build linux

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/oslorpc/oslorpc/internal/bench/compare"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// These are the sides with which the others are compared.
const sideRaw, sideDirect, sideGateway = "raw", "direct", "gateway"

// side is one way to make a call.
type side struct {
	name string
	do   func() error
	// relay returns the processor time that the process between client and server has used. It is
	// nil if there is no such process.
	relay func() time.Duration
}

// payloadSize is the size of the arguments and of the result.
const payloadSize = 1 << 10

// sides opens the named sides, or all sides if there are no names. Raw is always the first one.
func (f *fleet) sides(ctx context.Context, names string) ([]side, error) {
	gateway, nginx := usedBy(f.gatewayProcess), usedBy(f.nginxPID)
	opens := []struct {
		side

		open func() (func() error, error)
	}{
		{side{name: sideRaw}, func() (func() error, error) { return f.rawCall(ctx, f.raw) }},
		{side{name: sideDirect}, func() (func() error, error) { return f.ourCall(ctx, f.url, rpc.CarrierAuto) }},
		{side{name: sideGateway, relay: gateway}, func() (func() error, error) { return f.ourCall(ctx, "gateway://"+f.gateway, rpc.CarrierAuto) }},
		{side{name: "gateway-unary", relay: gateway}, func() (func() error, error) { return f.ourCall(ctx, "gateway://"+f.gateway, rpc.CarrierUnary) }},
		{side{name: "gateway-stub", relay: gateway}, func() (func() error, error) { return f.stubCall(ctx, f.gateway) }},
		{side{name: "nginx-raw", relay: nginx}, func() (func() error, error) { return f.rawCall(ctx, f.nginxRaw) }},
		{side{name: "nginx-unary", relay: nginx}, func() (func() error, error) {
			return f.ourCall(ctx, "static://"+topic+"="+f.nginx, rpc.CarrierUnary)
		}},
		{side{name: "nginx-session", relay: nginx}, func() (func() error, error) {
			return f.ourCall(ctx, "static://"+topic+"="+f.nginx, rpc.CarrierSession)
		}},
	}
	wanted := strings.Split(names, ",")
	var all []side
	for i, o := range opens {
		isNginx := strings.HasPrefix(o.name, "nginx")
		if i > 0 && names != "" && !slices.Contains(wanted, o.name) || isNginx && f.nginx == "" {
			continue
		}
		do, err := o.open()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.name, err)
		}
		if err := do(); err != nil { // it connects
			return nil, fmt.Errorf("%s: %w", o.name, err)
		}
		o.do = do
		all = append(all, o.side)
	}
	return all, nil
}

// connect returns a connection of plain gRPC.
func (f *fleet) connect(addr string) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err == nil {
		f.ends = append(f.ends, conn.Close)
	}
	return conn, err
}

// rawCall calls plain gRPC. Its request has 64 more bytes than the payload, about as many as
// oslorpc adds.
func (f *fleet) rawCall(ctx context.Context, addr string) (func() error, error) {
	conn, err := f.connect(addr)
	request := compare.Opaque(payloadSize + 64)
	return func() error {
		ctx, cancel := context.WithTimeout(ctx, compare.Deadline)
		defer cancel()
		return conn.Invoke(ctx, "/bench.Raw/Unary", request, &wrapperspb.BytesValue{})
	}, err
}

// jsonText returns a JSON object of payloadSize bytes.
func jsonText() string {
	const frame = `{"data":""}`
	return `{"data":"` + strings.Repeat("x", payloadSize-len(frame)) + `"}`
}

// ourCall calls with a client of oslorpc.
func (f *fleet) ourCall(ctx context.Context, url string, carrier rpc.Carrier) (func() error, error) {
	t, err := oslorpc.Open(url, oslorpc.WithCarrier(carrier), oslorpc.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, err
	}
	f.ends = append(f.ends, t.Close)
	c, args := t.Client(oslorpc.Target{Topic: topic}), oslorpc.Raw(jsonText())
	return func() error {
		_, err := oslorpc.Call[oslorpc.Raw](ctx, c, method, args)
		return err
	}, nil
}

// stubCall calls with a plain stub of the protocol.
func (f *fleet) stubCall(ctx context.Context, addr string) (func() error, error) {
	conn, err := f.connect(addr)
	stub := pb.NewRPCServiceClient(conn)
	name := topic
	request := &pb.CallRequest{Message: &pb.Message{
		Target: &pb.Target{Topic: &name}, Method: method, Kwargs: &pb.Payload{Encoding: &pb.Payload_Json{Json: jsonText()}},
	}}
	return func() error {
		ctx, cancel := context.WithTimeout(ctx, compare.Deadline)
		defer cancel()
		_, err := stub.Call(ctx, request)
		return err
	}, err
}

// usedBy returns the processor time that the threads of a process have used, to the nanosecond.
func usedBy(pid int) func() time.Duration {
	return func() time.Duration {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid)) // the pattern is right
		var sum time.Duration
		for _, file := range files {
			text, err := os.ReadFile(file) //nolint:gosec // The system's.
			if err != nil {                // the thread has ended
				continue
			}
			used, _, _ := strings.Cut(string(text), " ")
			n, _ := strconv.ParseInt(used, 10, 64) // 0 shows that it cannot be read
			sum += time.Duration(n)
		}
		return sum
	}
}
