package wire

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func jsonPayload(text string) *pb.Payload {
	return &pb.Payload{Encoding: &pb.Payload_Json{Json: text}}
}

// usual returns a request such as clients send.
func usual() *pb.CallRequest {
	return &pb.CallRequest{Message: &pb.Message{
		Target: &pb.Target{Exchange: new("nova"), Topic: new("compute"), Version: new("5.1"), Server: new("c1")},
		Method: "resize", Id: "0123456789abcdef", InstanceId: "abc.1", OrderKey: "vm-1",
		Kwargs: jsonPayload(`{"size":"` + strings.Repeat("x", 1000) + `"}`), Context: jsonPayload(`{"user":"ü"}`),
	}}
}

// requests returns requests of all kinds.
func requests() map[string]*pb.CallRequest {
	change := func(change func(*pb.Message)) *pb.CallRequest {
		r := usual()
		change(r.GetMessage())
		return r
	}
	return map[string]*pb.CallRequest{
		"usual":           usual(),
		"without context": change(func(m *pb.Message) { m.Context = nil }),
		"without kwargs":  change(func(m *pb.Message) { m.Kwargs = nil }),
		"namespace":       change(func(m *pb.Message) { m.Target.Namespace = new("baseapi") }),
		"long names":      change(func(m *pb.Message) { m.Method = strings.Repeat("m", 400) }),
		"no target":       change(func(m *pb.Message) { m.Target = nil }),
		"empty target":    change(func(m *pb.Message) { m.Target = &pb.Target{} }),
		"empty message":   {Message: &pb.Message{}},
		"empty":           {},
		"empty topic":     change(func(m *pb.Message) { m.Target.Topic = new("") }),
		"fanout":          change(func(m *pb.Message) { m.Target.Fanout = new(true) }),
		"empty text":      change(func(m *pb.Message) { m.Kwargs = jsonPayload("") }),
		"empty payload":   change(func(m *pb.Message) { m.Kwargs = &pb.Payload{} }),
		"value": change(func(m *pb.Message) {
			m.Kwargs = &pb.Payload{Encoding: &pb.Payload_Value{Value: structpb.NewNullValue()}}
		}),
		"missed":   change(func(m *pb.Message) { m.Missed = durationpb.New(1) }),
		"metadata": change(func(m *pb.Message) { m.Metadata = map[string]string{"a": "b"} }),
	}
}

// common are the requests that are decoded without generated code.
var common = []string{"usual", "without context", "without kwargs", "namespace", "long names", "no target", "empty target", "empty message"}

// asGenerated returns a decoded request in generated types.
func (r *Request) asGenerated() *pb.CallRequest {
	if r.Full != nil {
		return r.Full
	}
	given := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	text := func(s string) *pb.Payload {
		if s == "" {
			return nil
		}
		return jsonPayload(s)
	}
	m := &pb.Message{
		Target: &pb.Target{
			Exchange: given(r.Target.Exchange), Topic: given(r.Target.Topic), Namespace: given(r.Target.Namespace),
			Version: given(r.Target.Version), Server: given(r.Target.Server),
		},
		Method: r.Method, Id: r.ID, InstanceId: r.InstanceID, OrderKey: r.OrderKey, Kwargs: text(r.Kwargs), Context: text(r.Context),
	}
	return &pb.CallRequest{Message: m}
}

// sameRequest reports whether two requests mean the same. An absent target means the same as an
// empty one.
func sameRequest(a, b *pb.CallRequest) bool {
	a, b = proto.CloneOf(a), proto.CloneOf(b)
	for _, m := range []*pb.Message{a.GetMessage(), b.GetMessage()} {
		if m != nil && m.GetTarget() == nil {
			m.Target = &pb.Target{}
		}
	}
	return proto.Equal(a, b)
}

func TestRequest(t *testing.T) {
	for name, want := range requests() {
		t.Run(name, func(t *testing.T) {
			b, err := proto.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			got := &Request{Method: "of the message before"}
			if err := proto.Unmarshal(b, got); err != nil {
				t.Fatal(err)
			}
			if decoded := got.asGenerated(); !sameRequest(decoded, want) {
				t.Errorf("got %v, want %v", decoded, want)
			}
			if isCommon := slices.Contains(common, name); isCommon == (got.Full != nil) {
				t.Errorf("decoded in full: %v", got.Full != nil)
			}
		})
	}
}

// filled returns a request with the content of a generated one.
func filled(want *pb.CallRequest) *Request {
	m, t := want.GetMessage(), want.GetMessage().GetTarget()
	r := &Request{}
	r.Reset()
	r.Target = rpc.Target{Exchange: t.GetExchange(), Topic: t.GetTopic(), Namespace: t.GetNamespace(), Version: t.GetVersion(), Server: t.GetServer()}
	r.Method, r.ID, r.InstanceID, r.OrderKey = m.GetMethod(), m.GetId(), m.GetInstanceId(), m.GetOrderKey()
	r.Kwargs, r.Context = m.GetKwargs().GetJson(), m.GetContext().GetJson()
	return r
}

func TestRequestIsEncodedAsGeneratedCodeDoes(t *testing.T) {
	for name, want := range requests() {
		if !slices.Contains(common, name) && name != "empty text" || want.GetMessage().GetKwargs() == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			r := filled(want)
			got, err := proto.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			var arrived pb.CallRequest
			if err := proto.Unmarshal(got, &arrived); err != nil || !sameRequest(&arrived, want) {
				t.Errorf("it arrives as %v, %v, want %v", &arrived, err, want)
			}
			if n := proto.Size(r); n != len(got) {
				t.Errorf("it has %d bytes, and its size is %d", len(got), n)
			}
		})
	}
}

func TestRequestThatIsNotUTF8(t *testing.T) {
	for i, spoil := range []func(*Request){
		func(r *Request) { r.Kwargs = "{\"\xff\":1}" },
		func(r *Request) { r.Context = "{\"\xff\":1}" },
		func(r *Request) { r.Method = "\xff" },
		func(r *Request) { r.Target.Namespace = "\xff" },
		func(r *Request) { r.OrderKey = "\xff" },
	} {
		r := filled(usual())
		spoil(r)
		if _, err := proto.Marshal(r); !errors.Is(err, errNotUTF8) {
			t.Errorf("%d: the error is %v, want %v", i, err, errNotUTF8)
		}
	}
}

func TestRequestIsACopy(t *testing.T) {
	b, err := proto.Marshal(usual())
	if err != nil {
		t.Fatal(err)
	}
	var got Request
	if err := proto.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	clear(b)
	if decoded := got.asGenerated(); !sameRequest(decoded, usual()) {
		t.Errorf("after its buffer was used again, the request is %v", decoded)
	}
}

func TestEncodingAllocatesNothing(t *testing.T) {
	buffer := make([]byte, 0, 1<<12)
	for name, m := range map[string]proto.Message{"request": filled(usual()), "response": withResult("1")} {
		if n := testing.AllocsPerRun(100, func() {
			if _, err := (proto.MarshalOptions{}).MarshalAppend(buffer, m); err != nil || proto.Size(m) == 0 {
				t.Error(err)
			}
		}); n > 0 {
			t.Errorf("a %s makes %v allocations", name, n)
		}
	}
}

func TestDecodingAllocates(t *testing.T) {
	request, response := encodings(t)
	for name, test := range map[string]struct {
		into proto.Message
		from []byte
		most float64
	}{
		"request":  {&Request{}, request, 3}, // the kwargs, the context, and all names
		"response": {&Response{}, response, 1},
	} {
		if n := testing.AllocsPerRun(100, func() {
			if err := proto.Unmarshal(test.from, test.into); err != nil {
				t.Error(err)
			}
		}); n > test.most {
			t.Errorf("a %s makes %v allocations, want %v", name, n, test.most)
		}
	}
}

func withResult(result string) *Response {
	r := &Response{}
	r.Fill(result)
	return r
}

func encodings(tb testing.TB) (request, response []byte) {
	tb.Helper()
	request, err := proto.Marshal(usual())
	if err != nil {
		tb.Fatal(err)
	}
	if response, err = proto.Marshal(withResult(strings.Repeat("x", 1000))); err != nil {
		tb.Fatal(err)
	}
	return request, response
}

func TestResponse(t *testing.T) {
	for _, result := range []string{"null", `"ü"`, "1", strings.Repeat("1", 126), strings.Repeat("1", 20000)} {
		want := &pb.CallResponse{Result: jsonPayload(result)}
		b, err := proto.Marshal(withResult(result))
		if err != nil {
			t.Fatal(err)
		}
		var generated pb.CallResponse
		if err := proto.Unmarshal(b, &generated); err != nil || !proto.Equal(&generated, want) {
			t.Errorf("%.20s arrives as %v, %v", result, &generated, err)
		}
		if n := proto.Size(withResult(result)); n != len(b) {
			t.Errorf("%.20s has %d bytes, and its size is %d", result, len(b), n)
		}
		var back Response
		if err := proto.Unmarshal(b, &back); err != nil || back.Result != result || !back.Came || back.Full != nil {
			t.Errorf("%.20s comes back as %+v, %v", result, back, err)
		}
	}
}

func TestUnusualResponse(t *testing.T) {
	for _, want := range []*pb.CallResponse{
		{}, {Result: &pb.Payload{}}, {Result: jsonPayload("")},
		{Result: &pb.Payload{Encoding: &pb.Payload_Value{Value: structpb.NewStringValue("a")}}},
	} {
		b, err := proto.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Response
		if err := proto.Unmarshal(b, &got); err != nil || got.Full == nil || !proto.Equal(got.Full, want) {
			t.Errorf("%v arrives as %v, %v", want, got.Full, err)
		}
	}
	got := Response{}
	if err := proto.Unmarshal([]byte("\x0a\x03\x0a\x01\xff"), &got); err == nil || !got.Came {
		t.Errorf("a text that is not UTF-8 came: %v, with the error %v", got.Came, err)
	}
}

// gRPC's codec accepts the messages as protobuf messages.
func TestCodec(t *testing.T) {
	codec := encoding.GetCodecV2("proto")
	data, err := codec.Marshal(withResult("1"))
	if err != nil {
		t.Fatal(err)
	}
	var back Response
	if err := codec.Unmarshal(data, &back); err != nil || back.Result != "1" {
		t.Errorf("got %q, %v", back.Result, err)
	}
}

func FuzzRequest(f *testing.F) {
	for _, r := range requests() {
		b, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var want pb.CallRequest
		var got Request
		wantErr, gotErr := proto.Unmarshal(b, &want), proto.Unmarshal(b, &got)
		if (wantErr == nil) != (gotErr == nil) {
			t.Fatalf("the error is %v, want %v", gotErr, wantErr)
		}
		if wantErr == nil && !sameRequest(got.asGenerated(), &want) {
			t.Errorf("got %v, want %v", got.asGenerated(), &want)
		}
	})
}

func FuzzResponse(f *testing.F) {
	for _, r := range []proto.Message{withResult("1"), &pb.CallResponse{}} {
		b, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var want pb.CallResponse
		var got Response
		wantErr, gotErr := proto.Unmarshal(b, &want), proto.Unmarshal(b, &got)
		if (wantErr == nil) != (gotErr == nil) {
			t.Fatalf("the error is %v, want %v", gotErr, wantErr)
		}
		if got.Full == nil && wantErr == nil {
			got.Full = &pb.CallResponse{Result: jsonPayload(got.Result)}
		}
		if wantErr == nil && !proto.Equal(got.Full, &want) {
			t.Errorf("got %v, want %v", got.Full, &want)
		}
	})
}

// BenchmarkDecode compares with generated code, through gRPC's codec.
func BenchmarkDecode(b *testing.B) {
	codec := encoding.GetCodecV2("proto")
	request, response := encodings(b)
	for name, test := range map[string]struct {
		from []byte
		into func() proto.Message
	}{
		"request":            {request, func() proto.Message { return &Request{} }},
		"request/generated":  {request, func() proto.Message { return &pb.CallRequest{} }},
		"response":           {response, func() proto.Message { return &Response{} }},
		"response/generated": {response, func() proto.Message { return &pb.CallResponse{} }},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			data := mem.BufferSlice{mem.SliceBuffer(test.from)}
			for b.Loop() {
				if err := codec.Unmarshal(data, test.into()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
