package main

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/bench/compare"
	typedtestv1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// volumes is a typed service that echoes its messages.
type volumes struct {
	typedtestv1.UnimplementedInventoryServiceServer
}

func (volumes) GetVolume(_ context.Context, r *typedtestv1.GetVolumeRequest) (*typedtestv1.GetVolumeResponse, error) {
	return &typedtestv1.GetVolumeResponse{Name: r.GetName()}, nil
}

// typedCall calls a typed method through its generated stub. The message has validation rules.
var typedCall = operation{
	servers:  1,
	services: registerVolumes,
	do:       func(ctx context.Context, c *oslorpc.Client) error { return getVolume(ctx, c) },
}

func registerVolumes(r grpc.ServiceRegistrar) {
	typedtestv1.RegisterInventoryServiceServer(r, volumes{})
}

var volumeRequest = &typedtestv1.GetVolumeRequest{Name: strings.Repeat("x", payloadSize)}

func getVolume(ctx context.Context, c grpc.ClientConnInterface) error {
	_, err := typedtestv1.NewInventoryServiceClient(c).GetVolume(ctx, volumeRequest)
	return err
}

// stubCounterpart returns the same service and the same stub over plain grpc-go.
func stubCounterpart(ctx context.Context, _ operation) (do func(context.Context) error, undo func() error, err error) {
	plain, err := compare.NewPlain(ctx, registerVolumes)
	if err != nil {
		return nil, nil, err
	}
	do = func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, compare.Deadline)
		defer cancel()
		return getVolume(ctx, plain)
	}
	return do, plain.Close, nil
}

// caps compares nothing. It reports how long a fixed and an automatic version cap take to check a
// version.
func caps(ctx context.Context) (fixed, auto compare.Workload, cleanup func() error, err error) {
	var opened closers
	t, err := oslorpc.Open(url)
	if err != nil {
		return fixed, auto, nil, err
	}
	opened = append(opened, t.Close)
	if err := serve(ctx, t, "server", callEcho); err != nil {
		return fixed, auto, nil, errors.Join(err, opened.close())
	}
	return asking(ctx, t, version), asking(ctx, t, oslorpc.AutoCap), opened.close, nil
}

// asking checks whether a cap allows a version.
func asking(ctx context.Context, t *oslorpc.Transport, limit string) compare.Workload {
	client := newClient(t).Prepare(oslorpc.WithVersionCap(limit))
	return compare.Workload{Callers: 1, Ops: batch, Do: func() error {
		for range batch {
			if can, err := client.CanSendVersion(ctx); !can {
				return errors.Join(errors.New("the version cannot be sent"), err)
			}
		}
		return nil
	}}
}
