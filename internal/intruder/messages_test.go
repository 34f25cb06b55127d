package intruder

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// TestMessages has an attacker that builds messages itself.
func TestMessages(t *testing.T) {
	t.Parallel()
	for _, a := range []attack{
		{name: "another method", wants: "run a method that only clerks may run", do: anotherMethod},
		{name: "another form", wants: "run a method in a form that is not allowed", do: anotherForm},
		{name: "another topic", wants: "reach the servers of another topic through a process that it may talk to", do: anotherTopic},
		{name: "typed instead of dynamic", wants: "run a typed method that only clerks may run", do: typedInsteadOfDynamic},
		{name: "dynamic instead of typed", wants: "run a typed method by a dynamic message", do: dynamicInsteadOfTyped},
		{name: "user agent", wants: "be taken for the clerk because of its user agent", do: userAgent},
		{name: "headers", wants: "change its identity or the target by headers", do: headers, may: []string{"GetVolume"}},
		{name: "envelope against headers", wants: "have the gate read the headers and the server the envelope", do: envelopeAgainstHeaders, may: []string{"quote"}},
		{name: "duplicate fields", wants: "have the gate read one field and the server another", do: duplicateFields, may: []string{"quote"}},
		{name: "instances", wants: "reach a server by the id of its instance", do: instances},
		{name: "paths", wants: "run a method by another spelling of its path", do: paths},
		{name: "introspection", wants: "learn which servers and methods there are", do: introspection},
		{name: "services", wants: "learn the names of services by reflection and health", do: services},
		{name: "missed", wants: "make servers read all their data again, many times", do: missed},
	} {
		t.Run(a.name, a.play)
	}
}

func anotherMethod(t *testing.T, f *fleet) int {
	for name, send := range forms {
		for _, method := range []string{"transfer", "rates", "absent"} {
			wantDenied(t, name+" "+method, send(soon(t), f.dial(t, "payments-1"), message(method)))
		}
	}
	return 12
}

// anotherForm sends messages by deliveries that the policy does not allow: quotes may only be
// called, and reports may only be cast.
func anotherForm(t *testing.T, f *fleet) int {
	conn := f.dial(t, "payments-1")
	for _, c := range [][2]string{{"Cast", "quote"}, {"Multicall", "quote"}, {"Call", "report"}, {"Multicall", "report"}, {"MonitoredCall", "report"}} {
		wantDenied(t, c[0]+" "+c[1], forms[c[0]](soon(t), conn, message(c[1])))
	}
	return 5
}

func anotherTopic(t *testing.T, f *fleet) int {
	n := 0
	for name, send := range forms {
		for _, topic := range []string{"inventory", "team-7", "printers", "absent"} {
			m := message("get_all")
			m.Target.Topic = &topic
			wantDenied(t, name+" "+topic, send(soon(t), f.dial(t, "payments-1"), m))
			n++
		}
	}
	return n
}

func typedInsteadOfDynamic(t *testing.T, f *fleet) int {
	c := v1.NewInventoryServiceClient(f.dial(t, "payments-1"))
	_, create := c.CreateVolume(soon(t), &v1.CreateVolumeRequest{Name: "a"})
	_, report := c.ReportUsage(soon(t), &v1.ReportUsageRequest{Name: "a"})
	watching, watch := c.WatchVolumes(soon(t), &v1.WatchVolumesRequest{})
	wantDenied(t, "a call", create)
	wantDenied(t, "a cast", report)
	wantDenied(t, "a stream", drain(watching, watch))
	return 3
}

func dynamicInsteadOfTyped(t *testing.T, f *fleet) int {
	n := 0
	for name, send := range forms {
		for _, method := range []string{"CreateVolume", "ReportUsage", "create_volume"} {
			m := message(method)
			m.Target.Namespace = new("volumes")
			wantDenied(t, name+" "+method, send(soon(t), f.dial(t, "payments-2"), m))
			n++
		}
	}
	return n
}

func userAgent(t *testing.T, f *fleet) int {
	for _, agent := range []string{"clerk", clerk, "spiffe://cloud/user/clerk grpc-go/1.85.0"} {
		conn := f.dial(t, "payments-1", grpc.WithUserAgent(agent))
		wantDenied(t, agent, forms["Call"](soon(t), conn, message("transfer")))
	}
	for _, d := range f.log.denials(t, agent) {
		if d.Audit.Claimed == "" {
			t.Errorf("the name that the attacker claims is not in the audit log: %+v", d)
		}
	}
	return 3
}

// forged returns headers that a server might believe.
func forged() metadata.MD {
	return metadata.Pairs("oslorpc-topic", "payments", "oslorpc-exchange", "openstack", "oslorpc-server", "payments-1", "oslorpc-caller", clerk,
		"oslorpc-identity", clerk, "x-forwarded-client-cert", "URI="+clerk, "x-forwarded-for", "127.0.0.1", "x-spiffe-id", clerk,
		"authorization", "Bearer "+clerk, "from", clerk, "grpc-internal-identity", clerk)
}

func headers(t *testing.T, f *fleet) int {
	n := 0
	conn := f.dial(t, "payments-1")
	ctx := metadata.NewOutgoingContext(soon(t), forged())
	for name, send := range forms {
		m := message("transfer")
		m.Target.Exchange, m.Target.Server = new("openstack"), new("payments-1") // equal to the headers
		m.Metadata = map[string]string{"oslorpc-identity": clerk, "authorization": "Bearer " + clerk, "user-agent": clerk, ":authority": clerk}
		wantDenied(t, name, send(ctx, conn, m))
		n++
	}
	i := f.instance("payments-1")
	for _, pairs := range [][]string{
		nil, {"oslorpc-topic", "printers"}, {"oslorpc-topic", "printers", "oslorpc-instance", i.ID}, {"oslorpc-instance", i.ID, "oslorpc-instance", "x"},
		{"oslorpc-topic", "payments", "oslorpc-topic", "printers"}, {"oslorpc-exchange", "other", "oslorpc-instance", i.ID}, {"oslorpc-version", "9.0"},
		{"oslorpc-version", "x"}, {"oslorpc-topic", "%"}, {"oslorpc-missed", "1s", "oslorpc-id", "1"}, {"oslorpc-report", "1"},
	} {
		ctx := metadata.NewOutgoingContext(soon(t), metadata.Pairs(pairs...))
		_, err := v1.NewInventoryServiceClient(conn).CreateVolume(ctx, &v1.CreateVolumeRequest{Name: "a"})
		wantRefused(t, "CreateVolume", err)
		_, _ = v1.NewInventoryServiceClient(conn).GetVolume(ctx, &v1.GetVolumeRequest{Name: "a"})
	}
	return n
}

// envelopeAgainstHeaders checks that the gate and the server read only the envelope. A message
// whose headers contradict the envelope is refused before both.
func envelopeAgainstHeaders(t *testing.T, f *fleet) int {
	conn := f.dial(t, "payments-1")
	allowed := metadata.NewOutgoingContext(soon(t), metadata.Pairs("oslorpc-topic", "payments", "oslorpc-method", "quote"))
	wantDenied(t, "a denied envelope with headers that are allowed", forms["Call"](allowed, conn, message("transfer")))
	denied := metadata.NewOutgoingContext(soon(t), metadata.Pairs("oslorpc-topic", "payments", "oslorpc-method", "transfer"))
	if err := forms["Call"](denied, conn, message("quote")); err != nil {
		t.Errorf("an allowed envelope with another method in the headers: %v", err)
	}
	for name, send := range forms {
		for _, method := range []string{"quote", "transfer"} {
			other := metadata.NewOutgoingContext(soon(t), metadata.Pairs("oslorpc-topic", "team-7"))
			if err := send(other, conn, message(method)); status.Code(err) != codes.InvalidArgument {
				t.Errorf("%s, %s, with another topic in the headers: got %v", name, method, err)
			}
		}
	}
	return 1
}

// doubled is an encoded message.
type doubled []byte

// codec sends bytes unchanged.
type codec struct{}

func (codec) Marshal(v any) ([]byte, error) {
	if b, ok := v.(doubled); ok {
		return b, nil
	}
	return proto.Marshal(v.(proto.Message))
}

func (codec) Unmarshal(b []byte, v any) error { return proto.Unmarshal(b, v.(proto.Message)) }

func (codec) Name() string { return "proto" }

// duplicateFields checks that the last one of duplicate fields counts, for the gate as well.
func duplicateFields(t *testing.T, f *fleet) int {
	conn := f.dial(t, "payments-1", grpc.WithDefaultCallOptions(grpc.ForceCodec(codec{})))
	encode := func(m *pb.Message) []byte {
		b, err := proto.Marshal(&pb.CallRequest{Message: m})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	quote, transfer := encode(message("quote")), encode(message("transfer"))
	for _, path := range []string{"/oslorpc.v1.RPCService/Call", "/oslorpc.v1.RPCService/Cast"} {
		wantDenied(t, path, conn.Invoke(soon(t), path, doubled(slices.Concat(quote, transfer)), &pb.CallResponse{}))
	}
	if err := conn.Invoke(soon(t), "/oslorpc.v1.RPCService/Call", doubled(slices.Concat(transfer, quote)), &pb.CallResponse{}); err != nil {
		t.Errorf("the last field is allowed: %v", err)
	}
	return 2
}

func instances(t *testing.T, f *fleet) int {
	n := 0
	conn := f.dial(t, "payments-1")
	for _, id := range []string{f.instance("payments-1").ID, f.instance("payments-2").ID, f.instance("payments-1").BootID, "x", "../payments-1"} {
		for name, send := range forms {
			for _, topic := range []string{"payments", "printers"} {
				m := message("transfer")
				m.InstanceId, m.Target.Topic, m.Target.Server = id, &topic, new("payments-1")
				wantDenied(t, name+" to "+id, send(soon(t), conn, m))
				n++
			}
		}
	}
	return n
}

func paths(t *testing.T, f *fleet) int {
	conn := f.dial(t, "payments-1")
	n := 0
	for _, path := range []string{
		"/oslorpc.v1.RPCService/Call/", "//oslorpc.v1.RPCService/Call", "/OSLORPC.v1.RPCService/Call", "/oslorpc.v1.RPCService/call",
		"/oslorpc.v1.RPCService//Call", "/oslorpc.v1.RPCService/../oslorpc.v1.RPCService/Call", "/oslorpc.v1.RPCService/%43all",
		"/.oslorpc.v1.RPCService/Call", "/oslorpc.v1.RPCService/Call?", "/x/oslorpc.v1.RPCService/Call", "/typedtest.v1.InventoryService/createVolume",
		"/grpc.health.v1.Health/../oslorpc.v1.RPCService/Call", "/typedtest.v1.PlainService/Echo",
	} {
		err := conn.Invoke(soon(t), path, &pb.CallRequest{Message: message("transfer")}, &pb.CallResponse{})
		wantDenied(t, path, err)
		n++
	}
	return n
}

func introspection(t *testing.T, f *fleet) int {
	c := pb.NewIntrospectionServiceClient(f.dial(t, "payments-1"))
	n := 0
	for _, r := range []*pb.GetInfoRequest{{}, {Requests: true}, {Topic: new("payments")}, {Topic: new("absent")}} {
		info, err := c.GetInfo(soon(t), r)
		wantDenied(t, "GetInfo", err)
		if len(info.GetServers()) > 0 || info.GetBootId() != "" {
			t.Errorf("the attacker learned %v", info)
		}
		n++
	}
	for _, id := range []string{"", f.instance("payments-1").ID, "absent"} {
		_, err := c.Ping(soon(t), &pb.PingRequest{InstanceId: id})
		wantDenied(t, "Ping", err)
		n++
	}
	return n
}

func services(t *testing.T, f *fleet) int {
	conn := f.dial(t, "payments-1")
	health := grpc_health_v1.NewHealthClient(conn)
	for _, service := range []string{"", "payments", "openstack/payments", "absent"} {
		_, err := health.Check(soon(t), &grpc_health_v1.HealthCheckRequest{Service: service})
		wantDenied(t, "health of "+service, err)
		watching, err := health.Watch(soon(t), &grpc_health_v1.HealthCheckRequest{Service: service})
		wantDenied(t, "watching the health of "+service, drain(watching, err))
	}
	_, err := health.List(soon(t), &grpc_health_v1.HealthListRequest{})
	wantDenied(t, "a list of health", err)
	for _, path := range []string{"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"} {
		stream, err := conn.NewStream(soon(t), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, path)
		if err == nil {
			_ = stream.SendMsg(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}})
			err = stream.RecvMsg(&grpc_reflection_v1.ServerReflectionResponse{})
		}
		wantDenied(t, path, err)
	}
	return 11
}

// missed checks that denied messages do not tell servers that they missed messages.
func missed(t *testing.T, f *fleet) int {
	conn := f.dial(t, "payments-1")
	for range 200 {
		m := message("transfer")
		m.Missed, m.Id = durationpb.New(time.Second), "id"
		wantDenied(t, "a call", forms["Call"](soon(t), conn, m))
		ctx := metadata.AppendToOutgoingContext(soon(t), "oslorpc-missed", "1s", "oslorpc-id", "id")
		_, err := v1.NewInventoryServiceClient(conn).ReportUsage(ctx, &v1.ReportUsageRequest{Name: "a"})
		wantDenied(t, "a typed cast", err)
	}
	if n := f.missed.Load(); n > 0 {
		t.Errorf("the servers were told %d times that they missed messages", n)
	}
	return 50
}
