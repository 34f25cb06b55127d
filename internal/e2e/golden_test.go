package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/golden"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

const requestsFile = "requests.json"

// goldenRequest is a request in proto/testdata, with a server's answer.
type goldenRequest struct {
	Case string `json:"case"`
	// RPC is Call, Cast or Multicall. The request is the request message of this RPC.
	RPC     string          `json:"rpc"`
	Request json.RawMessage `json:"request"`
	// Headers are sent with the request, each as a name and a value.
	Headers [][2]string `json:"headers,omitempty"`
	// Bytes are the encoded request, with the instance ID and the boot ID "5f0e7c1a9b3d2e48".
	Bytes []byte `json:"bytes"`
	// Code and Kind are the code and kind of the error, or 0 and empty if there is none.
	Code       uint32 `json:"code"`
	Kind       string `json:"kind"`
	NotStarted bool   `json:"not_started"`
	Path       string `json:"path"`
	// Results are the payloads before the end.
	Results []json.RawMessage `json:"results"`
}

// goldenServer serves the methods that the cases of the file use.
func goldenServer(t *testing.T) (addr, instance string) {
	t.Helper()
	tr, err := oslorpc.Open("memory://" + t.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	s := tr.Server(oslorpc.Target{Topic: "golden", Server: "node1"})
	s.Add(oslorpc.Endpoint{Version: "1.2", Methods: map[string]oslorpc.Method{
		"add": oslorpc.Func(func(_ context.Context, a struct {
			A int64 `json:"a"`
			B int64 `json:"b"`
		},
		) (int64, error) {
			return a.A + a.B, nil
		}),
		"echo": oslorpc.Func(func(_ context.Context, a map[string]any) (any, error) { return a, nil }),
		"fail": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (any, error) { return nil, errors.New("broken") }),
		"unsendable": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (any, error) {
			return map[string]any{"x": []any{math.NaN()}}, nil
		}),
		"count": oslorpc.Stream(func(_ context.Context, a struct {
			N int64 `json:"n"`
		},
		) iter.Seq2[int64, error] {
			return func(yield func(int64, error) bool) {
				for i := int64(1); i <= a.N && yield(i, nil); i++ {
				}
			}
		}),
	}})
	s.Add(oslorpc.Endpoint{Namespace: "other", Version: "2.0", Methods: map[string]oslorpc.Method{
		"whoami": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (string, error) { return "node1", nil }),
	}})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := tr.Instances(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatalf("listed are %v, %v", list, err)
	}
	return list[0].Addr, list[0].ID
}

// Servers in other languages answer requests in the same way, including invalid ones.
func TestGoldenRequests(t *testing.T) {
	t.Parallel()
	addr, instance := goldenServer(t)
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	cases := golden.Load[goldenRequest](t, requestsFile, "requests")
	for n, c := range cases {
		cases[n].Bytes = c.encode(t, "5f0e7c1a9b3d2e48.1")
		got := c.ask(t, conn, instance)
		if got.Bytes = cases[n].Bytes; !golden.Updating() && !golden.Equal(t, got, c) {
			t.Errorf("%s: got code %d, %s, not started: %v, at %q, %s", c.Case, got.Code, got.Kind, got.NotStarted, got.Path, got.Results)
		}
		cases[n] = got
	}
	golden.Save(t, requestsFile, "requests", cases)
}

// message returns the request for an instance.
func (c goldenRequest) message(t *testing.T, instance string) proto.Message {
	t.Helper()
	var request proto.Message
	switch c.RPC {
	case "Call":
		request = &pb.CallRequest{}
	case "Cast":
		request = &pb.CastRequest{}
	default:
		request = &pb.MulticallRequest{}
	}
	boot, _, _ := strings.Cut(instance, ".")
	text := strings.NewReplacer("${instance}", instance, "${boot}", boot).Replace(string(c.Request))
	if err := protojson.Unmarshal([]byte(text), request); err != nil {
		t.Fatalf("%s: %v", c.Case, err)
	}
	return request
}

func (c goldenRequest) encode(t *testing.T, instance string) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(c.message(t, instance))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ask sends the request and returns the request with its answer.
func (c goldenRequest) ask(t *testing.T, conn *grpc.ClientConn, instance string) goldenRequest {
	t.Helper()
	headers := metadata.MD{}
	for _, h := range c.Headers {
		headers.Append(h[0], h[1])
	}
	ctx, cancel := context.WithTimeout(metadata.NewOutgoingContext(t.Context(), headers), 10*time.Second)
	defer cancel()
	client := pb.NewRPCServiceClient(conn)
	c.Results, c.Code, c.Kind, c.NotStarted, c.Path = []json.RawMessage{}, 0, "", false, ""
	var err error
	switch request := c.message(t, instance).(type) {
	case *pb.CallRequest:
		var response *pb.CallResponse
		if response, err = client.Call(ctx, request); err == nil {
			c.Results = append(c.Results, payloadText(t, response.GetResult()))
		}
	case *pb.CastRequest:
		_, err = client.Cast(ctx, request)
	case *pb.MulticallRequest:
		var stream grpc.ServerStreamingClient[pb.MulticallResponse]
		stream, err = client.Multicall(ctx, request)
		for err == nil {
			var response *pb.MulticallResponse
			if response, err = stream.Recv(); err == nil {
				c.Results = append(c.Results, payloadText(t, response.GetItem()))
			}
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err == nil {
		return c
	}
	st, _ := status.FromError(err)
	c.Code = uint32(st.Code())
	for _, d := range st.Details() {
		if detail, ok := d.(*pb.ErrorDetail); ok {
			c.Kind, c.NotStarted, c.Path = detail.GetKind().String(), detail.GetNotStarted(), detail.GetPath()
		}
	}
	return c
}

func payloadText(t *testing.T, p *pb.Payload) json.RawMessage {
	t.Helper()
	text, err := protojson.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
