package interception

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// stranger is a program with a valid certificate that makes RPCs without this library.
type stranger struct {
	conn     *grpc.ClientConn
	instance oslorpc.Instance
}

const strangerName = "stranger.example"

func (f *fleet) stranger(t *testing.T, server string) stranger {
	t.Helper()
	i, _ := f.servers[server].Instance()
	conn, err := grpc.NewClient(i.Addr, grpc.WithTransportCredentials(credentials.NewTLS(f.authority.Mutual(strangerName))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return stranger{conn, i}
}

// rpcCase is an RPC that a server answers, and what the server's interceptors see.
type rpcCase struct {
	method protoreflect.MethodDescriptor
	// path is the path of the method in gRPC.
	path string
	// name and delivery are the values that interceptors see.
	name     string
	delivery rpc.Delivery
}

// rpcs returns all RPCs of the protocol and of a typed service.
func rpcs(t *testing.T) (list []rpcCase) {
	t.Helper()
	seen := map[string]rpc.Delivery{
		"Call": rpc.DeliveryCall, "Cast": rpc.DeliveryCast, "Multicall": rpc.DeliveryMulticall, "MonitoredCall": rpc.DeliveryCall,
		"Ping": rpc.DeliveryInspect, "GetInfo": rpc.DeliveryInspect, "ReportUsage": rpc.DeliveryCast, "InvalidateCache": rpc.DeliveryCast,
		"WatchVolumes": rpc.DeliveryMulticall, "ImportVolumes": rpc.DeliveryStream, "SyncVolumes": rpc.DeliveryStream,
	}
	services := 0
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			s := file.Services().Get(i)
			if file.Package() != "oslorpc.v1" && string(s.FullName()) != service {
				continue
			}
			services++
			for j := range s.Methods().Len() {
				m := s.Methods().Get(j)
				c := rpcCase{method: m, path: fmt.Sprintf("/%s/%s", s.FullName(), m.Name()), name: string(m.Name()), delivery: seen[string(m.Name())]}
				if m.Input().Fields().ByName("message") != nil { // a session carries messages, too
					c.name = "whoami"
				}
				if c.delivery == "" {
					c.delivery = rpc.DeliveryCall // like every typed method without options
				}
				if !c.isOfGateway() {
					list = append(list, c)
				}
			}
		}
		return true
	})
	if services < 4 || len(list) < 6+10 {
		t.Fatalf("%d services with %d methods were found", services, len(list))
	}
	return list
}

// request returns a request message for the method.
func (c *rpcCase) request(t *testing.T, s stranger) *dynamicpb.Message {
	t.Helper()
	request := dynamicpb.NewMessage(c.method.Input())
	field := c.method.Input().Fields().ByName("message")
	if field == nil {
		return request
	}
	name := topic
	message := &pb.Message{Target: &pb.Target{Topic: &name}, Method: "whoami", InstanceId: s.instance.ID}
	request.Set(field, protoreflect.ValueOfMessage(message.ProtoReflect()))
	return request
}

// do makes the RPC with plain gRPC and returns its error.
func (c *rpcCase) do(t *testing.T, s stranger) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "token", "x"), patience)
	defer cancel()
	if c.isSession() {
		return c.doInSession(ctx, s)
	}
	stream, err := s.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, c.path)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(c.request(t, s)); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for {
		if err := stream.RecvMsg(dynamicpb.NewMessage(c.method.Output())); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (c *rpcCase) isSession() bool { return c.path == pb.RPCService_Session_FullMethodName }

// doInSession sends a message in a session and returns its outcome.
func (c *rpcCase) doInSession(ctx context.Context, s stranger) error {
	stream, err := pb.NewRPCServiceClient(s.conn).Session(ctx)
	if err != nil {
		return err
	}
	name := topic
	message := &pb.Message{Target: &pb.Target{Topic: &name}, Method: c.name, InstanceId: s.instance.ID}
	for _, frame := range []*pb.SessionRequest{
		{Frame: &pb.SessionRequest_Open{Open: &pb.SessionOpen{Id: []byte(rand.Text()[:16])}}},
		{Frame: &pb.SessionRequest_Message{Message: &pb.SessionMessage{Seq: 1, Message: message}}},
	} {
		if err := stream.Send(frame); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	for {
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		for _, r := range append([]*pb.SessionResponse{r}, r.GetMore()...) {
			if result := r.GetResult(); result != nil {
				st := &spb.Status{}
				if err := proto.Unmarshal(result.GetStatus(), st); err != nil {
					return err
				}
				return status.FromProto(st).Err()
			}
		}
	}
}

// Every RPC of the protocol and of a typed service passes the interceptors before a message is
// accepted, even if a program makes the RPC without this library.
func TestNoRPCBypassesAccept(t *testing.T) {
	f := newFleet(t, []string{"node1"})
	s := f.stranger(t, "node1")
	for _, c := range rpcs(t) {
		t.Run(c.path, func(t *testing.T) {
			f.journal.reset()
			f.setRefuse(nil)
			if err := c.do(t, s); err != nil && status.Code(err) != codes.Unimplemented {
				t.Errorf("got %v", err)
			}
			c.checkSeen(t, f)
			if c.delivery != rpc.DeliveryInspect {
				f.journal.await(t, run, 1)
			}
			f.journal.reset()
			f.setRefuse(func(at point, _ string, _ *rpc.Message) error {
				if at == accept {
					return errors.New("no strangers")
				}
				return nil
			})
			err := c.do(t, s)
			if status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "no strangers") {
				t.Errorf("got %v", err)
			}
			checkDetail(t, err)
			c.checkSeen(t, f)
			if n := len(f.journal.take(run)) + len(f.journal.take(method)); n > 0 {
				t.Error("it ran")
			}
		})
	}
}

// isOfGateway reports whether only gateways serve the RPC. Package gateway tests that messages
// which arrive through this RPC pass the gate and the interceptors.
func (c *rpcCase) isOfGateway() bool {
	return strings.HasPrefix(c.path, "/"+pb.GatewayService_ServiceDesc.ServiceName+"/")
}

// checkSeen fails unless interceptors saw the message correctly and once before acceptance.
func (c *rpcCase) checkSeen(t *testing.T, f *fleet) {
	t.Helper()
	list := f.journal.take(accept)
	if len(list) != 1 {
		t.Fatalf("it was seen %d times", len(list))
	}
	m := list[0].message
	if m.Method != c.name || m.Delivery != c.delivery || m.Monitored != strings.HasSuffix(c.path, "/MonitoredCall") {
		t.Errorf("it was seen as %+v", m)
	}
	if provedBy(m.Peer.TLS) != strangerName || m.Metadata.Get("token") != "x" {
		t.Errorf("the peer is %q, the metadata %v", provedBy(m.Peer.TLS), m.Metadata)
	}
}

// checkDetail fails unless a status tells clients that the message was denied and did not run.
func checkDetail(t *testing.T, err error) {
	t.Helper()
	details := status.Convert(err).Details()
	if len(details) != 1 {
		t.Fatalf("got %v", details)
	}
	d, ok := details[0].(*pb.ErrorDetail)
	if !ok || d.GetKind() != pb.ErrorKind_ERROR_KIND_ACCESS_DENIED || !d.GetNotStarted() {
		t.Errorf("got %v", details)
	}
}

// A server offers only the services that the test above knows, and services of gRPC that run no
// messages.
func TestNoOtherServices(t *testing.T) {
	f := newFleet(t, []string{"node1"})
	stream, err := grpc_reflection_v1.NewServerReflectionClient(f.stranger(t, "node1").conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{},
	}); err != nil {
		t.Fatal(err)
	}
	response, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	known := []string{"grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}
	for _, c := range rpcs(t) {
		known = append(known, string(c.method.Parent().FullName()))
	}
	for _, s := range response.GetListServicesResponse().GetService() {
		if !slices.Contains(known, s.GetName()) {
			t.Errorf("the server offers %s", s.GetName())
		}
	}
}

// Interceptors of gRPC around an RPC neither hide its message from our interceptors nor show it to
// them twice.
func TestInterceptorsOfGRPCBesideOurs(t *testing.T) {
	f := newFleet(t, nil)
	handled := make(chan string, 100)
	f.servers["node1"] = f.serve(t, "node1", []oslorpc.TransportOption{oslorpc.WithServerOptions(
		grpc.ChainUnaryInterceptor(func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			handled <- info.FullMethod
			return handler(ctx, request)
		}),
		grpc.ChainStreamInterceptor(func(s any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			handled <- info.FullMethod
			return handler(s, stream)
		}),
	)})
	s := f.stranger(t, "node1")
	for _, c := range rpcs(t) {
		f.journal.reset()
		if err := c.do(t, s); err != nil && status.Code(err) != codes.Unimplemented {
			t.Errorf("%s: %v", c.path, err)
		}
		if path := <-handled; path != c.path {
			t.Errorf("the interceptor of gRPC saw %s, want %s", path, c.path)
		}
		if c.isSession() { // such a server refuses sessions, since gRPC's interceptors would not see their messages
			if n := len(f.journal.take(accept)); n > 0 {
				t.Errorf("%d messages of a session were seen", n)
			}
			continue
		}
		c.checkSeen(t, f)
	}
}

// A process that its clients must not inspect still receives their messages.
func TestInspectionDenied(t *testing.T) {
	f := newFleet(t, []string{"node1"})
	f.setRefuse(func(at point, _ string, m *rpc.Message) error {
		if at == accept && m.Delivery == rpc.DeliveryInspect {
			return errors.New("no questions")
		}
		return nil
	})
	i, _ := f.servers["node1"].Instance()
	transport := f.open(t, clientName)
	if _, err := transport.Ping(t.Context(), i); !errors.Is(err, rpc.AccessDenied) {
		t.Errorf("ping: %v", err)
	}
	if _, err := transport.Info(t.Context(), i); !errors.Is(err, rpc.AccessDenied) {
		t.Errorf("info: %v", err)
	}
	for _, r := range rows() {
		if o := r.send(t.Context(), f.client); o.err != nil {
			t.Errorf("%s: %v", r.name, o.err)
		}
	}
}
