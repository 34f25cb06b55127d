package oslorpc_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/emptypb"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// listenAt serves on a separate address until the test ends, and returns the address.
func listenAt(t *testing.T, serve func(net.Listener), stop func()) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { serve(l) })
	t.Cleanup(func() {
		stop()
		serving.Wait()
	})
	return l.Addr().String()
}

// otherProgram serves a program that does not know our protocol. It speaks only gRPC or only
// HTTP/2.
func otherProgram(t *testing.T, kind string) string {
	t.Helper()
	if kind == "gRPC" {
		s := grpc.NewServer()
		healthpb.RegisterHealthServer(s, health.NewServer())
		return listenAt(t, func(l net.Listener) { _ = s.Serve(l) }, s.Stop)
	}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	s := &http.Server{Handler: http.NotFoundHandler(), Protocols: &protocols, ReadHeaderTimeout: time.Minute}
	return listenAt(t, func(l net.Listener) { _ = s.Serve(l) }, func() { _ = s.Close() })
}

// Another program at a listed address accepts no messages. Nothing ran there, so each message goes
// to the server beside it.
func TestAnotherProgramHasTheAddress(t *testing.T) {
	for _, kind := range []string{"gRPC", "HTTP"} {
		foreign := otherProgram(t, kind)
		t.Run(kind, func(t *testing.T) {
			s := serve(t, "node1", newAgent("node1").endpoint("1.2"))
			i, _ := s.Instance()
			beside := clientOf(t, "agents/old="+foreign+",agents/node1="+i.Addr, oslorpc.WithTimeout(20*time.Second))
			alone := clientOf(t, "agents/old="+foreign, oslorpc.WithTimeout(20*time.Second), oslorpc.WithRetry(0))
			for name, send := range deliveries() {
				t.Run(name, func(t *testing.T) {
					everybody := name == "fanout" || name == "gather"
					for range 4 { // by turns
						err := send(t.Context(), beside)
						switch {
						case everybody && err != nil:
							wantText(t, err, foreign, "another program has its address")
						case err != nil:
							t.Error(err)
						}
					}
					err := send(t.Context(), alone)
					wantKind(t, err, oslorpc.Refused, true)
					wantText(t, err, foreign, "another program has its address", "does not speak oslorpc")
				})
			}
			transport := open(t)
			_, err := transport.Ping(t.Context(), oslorpc.Instance{Server: "old", Topic: "agents", Addr: foreign})
			wantText(t, err, "another program has its address")
		})
	}
}

// An interceptor of a server runs the method, and then answers as if the server did not know the
// protocol. The method must not run again.
func TestServerInterceptorThatAnswersUnimplemented(t *testing.T) {
	made := status.Error(codes.Unimplemented, "made up")
	var ran atomic.Int32
	options := oslorpc.WithServerOptions(
		grpc.UnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			ran.Add(1)
			if reply, err := handle(ctx, request); err != nil {
				return reply, err
			}
			return nil, made
		}),
		grpc.StreamInterceptor(func(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
			if info.FullMethod == pb.RPCService_Session_FullMethodName { // no message, and refused
				return handle(service, stream)
			}
			ran.Add(1)
			if err := handle(service, stream); err != nil {
				return err
			}
			return made
		}),
	)
	for _, name := range []string{"one", "two"} {
		serveOn(t, open(t, options), oslorpc.Target{Topic: "agents", Server: name}, newAgent(name).endpoint("1.2"))
	}
	c := client(t)
	for name, send := range deliveries() {
		if name == "fanout" || name == "gather" || name == "call of a method that fails" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			ran.Store(0)
			replied := name == "monitored call" // whose reply came before the status
			if err := send(t.Context(), c); oslorpc.SafeToRetry(err) || (err == nil) != replied {
				t.Errorf("it ran, and the error is %v", err)
			}
			if n := ran.Load(); n != 1 {
				t.Errorf("it was sent %d times", n)
			}
		})
	}
}

// lates counts the services of lateService, since a name can be registered only once.
var lates atomic.Int64

// lateService registers a typed service in this program: a copy of the inventory. Hosts that were
// made earlier do not know this service, like hosts of programs that do not link it.
func lateService(t *testing.T) (path string) {
	t.Helper()
	file := protodesc.ToFileDescriptorProto(v1.File_typedtest_v1_inventory_proto)
	late := proto.CloneOf(file)
	name := fmt.Sprintf("late%d", lates.Add(1))
	late.Name, late.Package = new(name+".proto"), new(name+".v1")
	late.MessageType, late.EnumType = nil, nil
	late.Service = late.GetService()[:1]
	late.Dependency = append(late.Dependency, file.GetName())
	methods := late.GetService()[0]
	methods.Method = append([]*descriptorpb.MethodDescriptorProto(nil), methods.GetMethod()[:1]...)
	late.Options = nil
	d, err := protodesc.NewFile(late, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	if err := protoregistry.GlobalFiles.RegisterFile(d); err != nil {
		t.Fatal(err)
	}
	service := d.Services().Get(0)
	return "/" + string(service.FullName()) + "/" + string(service.Methods().Get(0).Name())
}

// A server whose program does not link a typed service reports that it did not start the method.
// The message then goes to another server.
func TestTypedServiceThatAProgramDoesNotLink(t *testing.T) {
	target := oslorpc.Target{Topic: "inventory", Server: "lacks"}
	lacks := serveOn(t, open(t), target, oslorpc.Endpoint{Namespace: "volumes", Version: "1.2", Struct: oslorpc.Methods(newAgent("a"))})
	path := lateService(t)
	c := open(t).Client(oslorpc.Target{Topic: "inventory"}, oslorpc.WithRetry(0))
	err := c.Invoke(t.Context(), path, &v1.CreateVolumeRequest{}, &v1.CreateVolumeResponse{})
	wantKind(t, err, oslorpc.NoSuchMethod, true)
	wantText(t, err, "no server that matches the target offers the service")
	i, _ := lacks.Instance()
	plain := dial(t, i.Addr)
	if err := plain.Invoke(t.Context(), "/other.v1.Service/Do", &emptypb.Empty{}, &emptypb.Empty{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("another service: %v", err)
	}
	if err := plain.Invoke(t.Context(), "/oslorpc.v1.RPCService/Future", &emptypb.Empty{}, &emptypb.Empty{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("an RPC of a later contract: %v", err)
	}
}
