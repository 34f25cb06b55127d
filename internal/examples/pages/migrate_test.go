//go:build unix

package pages

import (
	"context"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	inventorypb "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

type CreateArgs struct {
	Name string `json:"name"`
	Size int    `json:"size"`
}

type Volumes struct{}

func (Volumes) Create(ctx context.Context, args CreateArgs) (string, error) {
	if args.Size <= 0 {
		return "", errors.New("a volume needs a size")
	}
	return "volume " + args.Name, nil
}

func serveVolumes(ctx context.Context, t *oslorpc.Transport) error {
	s := t.Server(oslorpc.Target{Topic: "volumes", Server: "node1"})
	s.Add(oslorpc.Endpoint{Version: "1.0", Struct: oslorpc.Methods(Volumes{})})
	return s.Start(ctx)
}

func createVolume(ctx context.Context, t *oslorpc.Transport) (string, error) {
	c := t.Client(oslorpc.Target{Topic: "volumes", Version: "1.0"})
	return oslorpc.Call[string](ctx, c, "create", CreateArgs{Name: "root", Size: 20})
}

type inventory struct {
	inventorypb.UnimplementedInventoryServiceServer
}

func (inventory) GetVolume(_ context.Context, r *inventorypb.GetVolumeRequest) (*inventorypb.GetVolumeResponse, error) {
	return &inventorypb.GetVolumeResponse{Name: "volume " + r.GetName()}, nil
}

func serveInventory(ctx context.Context, t *oslorpc.Transport) error {
	s := t.Server(oslorpc.Target{Topic: "inventory", Server: "node1"})
	inventorypb.RegisterInventoryServiceServer(s, inventory{}) // as on a *grpc.Server
	return s.Start(ctx)
}

func getVolume(ctx context.Context, t *oslorpc.Transport) (string, error) {
	stub := inventorypb.NewInventoryServiceClient(t.Client(oslorpc.Target{Topic: "inventory"}))
	v, err := stub.GetVolume(ctx, &inventorypb.GetVolumeRequest{Name: "root"})
	return v.GetName(), err
}

// These tests run the Go code that the migration pages show.
func TestMigrationPagesShowTheCode(t *testing.T) {
	t.Parallel()
	code, err := os.ReadFile("migrate_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"migrate-from-nats.md", "migrate-from-grpc.md"} {
		text, err := os.ReadFile(docs + page)
		if err != nil {
			t.Fatal(err)
		}
		blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1)
		if len(blocks) < 2 {
			t.Errorf("%s shows %d blocks of Go", page, len(blocks))
		}
		for _, b := range blocks {
			if !strings.Contains(string(code), b[1]) {
				t.Errorf("%s shows code that no test runs:\n%s", page, b[1])
			}
		}
	}
}

func TestMigratedPrograms(t *testing.T) {
	t.Parallel()
	transport, err := oslorpc.Open("memory://"+t.Name(), oslorpc.WithStopGrace(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = transport.Close() })
	for _, serve := range []func(context.Context, *oslorpc.Transport) error{serveVolumes, serveInventory} {
		if err := serve(t.Context(), transport); err != nil {
			t.Fatal(err)
		}
	}
	for _, call := range []func(context.Context, *oslorpc.Transport) (string, error){createVolume, getVolume} {
		if got, err := call(t.Context(), transport); err != nil || got != "volume root" {
			t.Errorf("got %q, %v", got, err)
		}
	}
	stub := inventorypb.NewInventoryServiceClient(transport.Client(oslorpc.Target{Topic: "inventory", Server: "absent"}, oslorpc.WithFailFast(true)))
	_, err = stub.GetVolume(t.Context(), &inventorypb.GetVolumeRequest{})
	if status.Code(err) != codes.Unavailable || !oslorpc.SafeToRetry(err) {
		t.Errorf("got %v: %v", status.Code(err), err)
	}
}
