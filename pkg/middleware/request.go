package middleware

import (
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	oslorpcv1 "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// info returns what gRPC tells an interceptor about the method.
func info(m *rpc.Message) *grpc.UnaryServerInfo {
	return &grpc.UnaryServerInfo{FullMethod: fullMethod(m)}
}

// escaper escapes a name for use between two slashes.
var escaper = strings.NewReplacer("%", "%25", "/", "%2F")

// fullMethod returns the name of a method for interceptors of gRPC.
func fullMethod(m *rpc.Message) string {
	if m.Delivery == rpc.DeliveryInspect {
		return "/" + oslorpcv1.IntrospectionService_ServiceDesc.ServiceName + "/" + m.Method
	}
	if m.Service != "" {
		return "/" + m.Service + "/" + m.Method
	}
	service := escaper.Replace(m.Target.Topic)
	if m.Target.Namespace != "" {
		service += "." + escaper.Replace(m.Target.Namespace)
	}
	return "/" + service + "/" + escaper.Replace(m.Method)
}

// request returns a message in the form that interceptors of gRPC see.
func request(m *rpc.Message) proto.Message {
	switch arguments := m.Arguments.(type) {
	case proto.Message:
		return arguments
	case string:
		return &oslorpcv1.Message{
			Target: target(m.Target), Method: m.Method, Id: m.ID, OrderKey: m.OrderKey,
			Kwargs: &oslorpcv1.Payload{Encoding: &oslorpcv1.Payload_Json{Json: arguments}},
		}
	default:
		return &emptypb.Empty{}
	}
}

// target converts a target to the type of the protocol.
func target(t rpc.Target) *oslorpcv1.Target {
	return &oslorpcv1.Target{
		Exchange: given(t.Exchange), Topic: given(t.Topic), Namespace: given(t.Namespace),
		Version: given(t.Version), Server: given(t.Server),
	}
}

// given returns a pointer to a name, or nil for an empty name: the protocol distinguishes absent
// from empty.
func given(name string) *string {
	if name == "" {
		return nil
	}
	return &name
}
