package oslorpc_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

// wantPlace fails the test unless an error names an instance in its fields, and once in its text.
func wantPlace(t *testing.T, err error, i oslorpc.Instance) {
	t.Helper()
	e, ok := errors.AsType[*oslorpc.Error](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	if e.Server != i.Server || e.InstanceID != i.ID || e.Addr != i.Addr {
		t.Errorf("it is about %q, %q, %q, not about %+v: %v", e.Server, e.InstanceID, e.Addr, i, err)
	}
	place := i.Server + " (" + i.Addr + ")"
	if strings.Count(err.Error(), place) != 1 || strings.Count(err.Error(), i.Addr) != 1 {
		t.Errorf("the text does not have %s once: %v", place, err)
	}
}

func instanceOf(t *testing.T, f *oslorpctest.Fleet) oslorpc.Instance {
	t.Helper()
	list, err := f.Transport().Instances(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatalf("got %v, %v", list, err)
	}
	return list[0]
}

// The error of a message that was sent names the server and its address, even if the message is for
// any server.
func TestErrorsNameTheServer(t *testing.T) {
	for what, happen := range map[string]func(*oslorpctest.Server){
		"silence": (*oslorpctest.Server).Partition,
		"death": func(s *oslorpctest.Server) {
			s.SlowDown(time.Minute)
			time.AfterFunc(100*time.Millisecond, s.Kill)
		},
	} {
		for name, send := range deliveries() {
			if what == "death" && (name == "cast" || name == "fanout") {
				continue // they were accepted
			}
			t.Run(what+" and "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := oslorpctest.New(t)
					node1 := listen(f, "node1")
					i := instanceOf(t, f)
					c := agentsOf(f.Transport()).Prepare(oslorpc.WithTimeout(time.Second))
					must(t, send(t.Context(), c)) // connected
					happen(node1.Server)
					err := send(t.Context(), c)
					if err == nil {
						t.Fatal("there is no error")
					}
					wantPlace(t, err, i)
					synctest.Wait()
				})
			})
		}
	}
}

// Errors of typed messages do so too.
func TestErrorsOfTypedMessagesNameTheServer(t *testing.T) {
	for name, send := range map[string]func(context.Context, v1.InventoryServiceClient) error{
		"call": func(ctx context.Context, stub v1.InventoryServiceClient) error {
			_, err := stub.CreateVolume(ctx, &v1.CreateVolumeRequest{})
			return err
		},
		"cast": func(ctx context.Context, stub v1.InventoryServiceClient) error {
			_, err := stub.ReportUsage(ctx, &v1.ReportUsageRequest{})
			return err
		},
		"server stream": func(ctx context.Context, stub v1.InventoryServiceClient) error {
			stream, err := stub.WatchVolumes(ctx, &v1.WatchVolumesRequest{})
			for err == nil {
				_, err = stream.Recv()
			}
			return err
		},
		"bidirectional stream": func(ctx context.Context, stub v1.InventoryServiceClient) error {
			stream, err := stub.SyncVolumes(ctx)
			if err == nil {
				err = stream.Send(&v1.SyncVolumesRequest{})
			}
			for err == nil {
				_, err = stream.Recv()
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := oslorpctest.New(t)
				server := f.Serve(oslorpc.Target{Topic: "inventory", Server: "net"}, nil,
					oslorpc.WithServices(func(r grpc.ServiceRegistrar) { v1.RegisterInventoryServiceServer(r, &inventory{name: "net"}) }))
				i := instanceOf(t, f)
				stub := volumes(f)
				if _, err := stub.CreateVolume(t.Context(), &v1.CreateVolumeRequest{}); err != nil {
					t.Fatal(err)
				}
				server.Partition()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				wantPlace(t, send(ctx, stub), i)
			})
		})
	}
}

// The error of a message that no server accepted names the last server that was tried, and the
// reason of this server.
func TestTimeoutOfAnUnsentMessageNamesTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := oslorpctest.New(t)
		f.Serve(oslorpc.Target{Topic: "agents", Server: "node1"}, []oslorpc.Endpoint{newAgent("node1").endpoint("1.2")},
			oslorpc.WithWorkers(1), oslorpc.WithQueue(1, 1<<20))
		i := instanceOf(t, f)
		c := agentsOf(f.Transport())
		for range 2 {
			must(t, c.Cast(t.Context(), "hang", nil))
			synctest.Wait()
		}
		err := c.Prepare(oslorpc.WithTimeout(5*time.Second)).Cast(t.Context(), "note", nil)
		wantKind(t, err, oslorpc.Refused, true)
		wantText(t, err, "queue is full", "(waited 5s)")
		wantPlace(t, err, i)
	})
}

// The entry of a dead process in Consul expires, so the error about the process says when.
func TestRegistrationOfADeadProcess(t *testing.T) {
	dead := oslorpc.Instance{Exchange: "openstack", Topic: "volumes", Server: "v3", Addr: "127.0.0.1:1"}
	_, err := openAt(t, "consul://127.0.0.1:1?ttl=20s").Ping(t.Context(), dead)
	wantKind(t, err, oslorpc.Unreachable, true)
	wantText(t, err, "server v3 cannot be reached: nothing listens at 127.0.0.1:1; the process is probably dead, and its registration expires within 20s")
	_, err = openAt(t, "static://volumes/v3=127.0.0.1:1").Ping(t.Context(), dead)
	wantText(t, err, "nothing listens at 127.0.0.1:1; the process is probably dead (connection refused)")
}
