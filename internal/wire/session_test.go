package wire

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// sessionMessages are frames with messages, as our clients send them.
func sessionMessages() map[string]*SessionMessage {
	change := func(change func(*SessionMessage)) *SessionMessage {
		m := &SessionMessage{SessionHead: SessionHead{Seq: 7, Taken: 3, Timeout: time.Minute}, Content: *filled(usual())}
		change(m)
		return m
	}
	return map[string]*SessionMessage{
		"call":      change(func(*SessionMessage) {}),
		"cast":      change(func(m *SessionMessage) { m.Mode, m.Timeout = pb.SessionMode_SESSION_MODE_CAST, 0 }),
		"monitored": change(func(m *SessionMessage) { m.Mode, m.Heartbeat = pb.SessionMode_SESSION_MODE_MONITORED_CALL, time.Second }),
		"headers": change(func(m *SessionMessage) {
			m.Headers = map[string][]string{"a": {"1", "2"}, "b-bin": {"\xff\x00"}, "c": {""}}
		}),
		"typed": change(func(m *SessionMessage) {
			m.Path, m.Content.Kwargs, m.Content.Bare = "/s/m", "", true
			m.Request, _ = proto.Marshal(durationpb.New(time.Hour))
		}),
		"empty typed": change(func(m *SessionMessage) {
			m.Path, m.Content.Kwargs, m.Content.Bare, m.Request = "/s/m", "", true, []byte{}
		}),
	}
}

// encode returns the frame with a message.
func encode(t testing.TB, m *SessionMessage) []byte {
	t.Helper()
	request := &durationpb.Duration{}
	if err := proto.Unmarshal(m.Request, request); err != nil {
		t.Fatal(err)
	}
	mark, ok := m.Append(nil, request)
	if !ok {
		t.Fatal("it cannot be encoded")
	}
	mark.Set(m.Seq, m.Taken)
	return mark.Bytes
}

// generated returns the message in generated types.
func (m *SessionMessage) generated() *pb.SessionRequest {
	g := &pb.SessionMessage{
		Seq: m.Seq, Taken: m.Taken, TimeoutNanos: uint64(m.Timeout), HeartbeatNanos: uint64(m.Heartbeat), Mode: m.Mode, Path: m.Path,
		Message: m.Content.asGenerated().GetMessage(),
	}
	if len(m.Request) > 0 {
		g.Request = m.Request
	}
	if m.Encoded != nil {
		g.Message = &pb.Message{}
		if proto.Unmarshal(m.Encoded, g.GetMessage()) != nil {
			return nil
		}
	}
	for name, values := range m.Headers {
		for _, value := range values {
			h := &pb.SessionHeader{Name: name}
			if value != "" {
				h.Value = []byte(value)
			}
			g.Headers = append(g.Headers, h)
		}
	}
	return &pb.SessionRequest{Frame: &pb.SessionRequest_Message{Message: g}}
}

// sorted returns a frame whose headers are sorted by name. Headers of one name keep their order.
func sorted(r *pb.SessionRequest) *pb.SessionRequest {
	r = proto.CloneOf(r)
	m := r.GetMessage()
	slices.SortStableFunc(m.GetHeaders(), func(a, b *pb.SessionHeader) int { return strings.Compare(a.GetName(), b.GetName()) })
	if m != nil && m.GetMessage() != nil && m.GetMessage().GetTarget() == nil {
		m.Message.Target = &pb.Target{}
	}
	return r
}

func TestSessionMessage(t *testing.T) {
	for name, m := range sessionMessages() {
		t.Run(name, func(t *testing.T) {
			b, want := encode(t, m), sorted(m.generated())
			var arrived pb.SessionRequest
			if err := proto.Unmarshal(b, &arrived); err != nil || !proto.Equal(sorted(&arrived), want) {
				t.Errorf("it arrives as %v, %v, want %v", &arrived, err, want)
			}
			var back SessionRequest
			if err := proto.Unmarshal(b, &back); err != nil || back.Other != nil {
				t.Fatalf("got %+v, %v", back, err)
			}
			if got := sorted(back.Message.generated()); !proto.Equal(got, want) || back.Message.Encoded != nil {
				t.Errorf("it comes back as %v, want %v", got, want)
			}
			clear(b)
			if got := sorted(back.Message.generated()); !proto.Equal(got, want) {
				t.Errorf("after its buffer was used again, it is %v", got)
			}
		})
	}
}

// A message with unusual fields arrives completely.
func TestUnusualSessionMessage(t *testing.T) {
	m := usual().GetMessage()
	m.Metadata, m.Remaining = map[string]string{"a": "b"}, durationpb.New(1)
	m.Kwargs = &pb.Payload{Encoding: &pb.Payload_Value{Value: structpb.NewBoolValue(true)}}
	want := &pb.SessionRequest{Frame: &pb.SessionRequest_Message{Message: &pb.SessionMessage{Seq: 1, Message: m}}}
	b, err := proto.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got SessionRequest
	if err := proto.Unmarshal(b, &got); err != nil || got.Message.Encoded == nil || !proto.Equal(got.Message.generated(), want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestSessionMessageThatCannotBeEncoded(t *testing.T) {
	for name, spoil := range map[string]func(*SessionMessage){
		"kwargs": func(m *SessionMessage) { m.Content.Kwargs = "\xff" },
		"path":   func(m *SessionMessage) { m.Path = "\xff" },
	} {
		m := sessionMessages()["call"]
		spoil(m)
		if _, ok := m.Append(nil, &durationpb.Duration{}); ok {
			t.Errorf("%s that is not UTF-8 can be encoded", name)
		}
	}
	m := sessionMessages()["typed"]
	if _, ok := m.Append(nil, structpb.NewStringValue("\xff")); ok {
		t.Error("a request that is not UTF-8 can be encoded")
	}
}

func TestMalformedSessionFrames(t *testing.T) {
	frame := func(content []byte) []byte { return append(appendHead(nil, frameMessage, len(content)), content...) }
	twice := encode(t, sessionMessages()["cast"])
	content, _ := only(twice, frameMessage)
	for name, b := range map[string][]byte{
		"no seq":          frame(nil),
		"cut":             encode(t, sessionMessages()["call"])[:40],
		"two messages":    frame(append(slices.Clone(content), content...)),
		"too long":        make([]byte, MaxFrame+1),
		"unknown garbage": {0xff},
		"names":           frame(append(slices.Clone(content), 0x4a, 0x03, 0x0a, 0x01, 0xff)),
	} {
		if err := proto.Unmarshal(b, &SessionRequest{}); err == nil {
			t.Errorf("%s: there is no error", name)
		}
		if name == "names" || name == "two messages" {
			continue // only requests have these fields
		}
		if err := proto.Unmarshal(b, &SessionResponse{}); err == nil {
			t.Errorf("%s: there is no error of a response", name)
		}
	}
}

// Unknown fields do not affect known ones.
func TestSessionFramesOfTheFuture(t *testing.T) {
	var back SessionRequest
	b := encode(t, sessionMessages()["cast"])
	content, _ := only(b, frameMessage)
	more := protowire.AppendFixed32(protowire.AppendTag(slices.Clone(content), 100, protowire.Fixed32Type), 1)
	more = append(appendHead(nil, frameMessage, len(more)), more...)
	if err := proto.Unmarshal(more, &back); err != nil || back.Message.Seq != 7 || back.Message.Content.Method != "resize" {
		t.Errorf("a message with another field is %+v, %v", back.Message, err)
	}
	back = SessionRequest{}
	if err := proto.Unmarshal(append(protowire.AppendTag(nil, 90, protowire.BytesType), 0), &back); err != nil || back.Other == nil || back.Other.GetFrame() != nil {
		t.Errorf("another frame is %+v, %v", back, err)
	}
}

// sessionResults are results of all kinds.
func sessionResults() map[string]*SessionResult {
	return map[string]*SessionResult{
		"text":        {Seq: 1, Outcome: Returned, Text: `{"a":"ü"}`},
		"long text":   {Seq: 1 << 60, Outcome: Returned, Text: strings.Repeat("1", 20000)},
		"accepted":    {Seq: 2, Outcome: Accepted},
		"reply":       {Seq: 3, Outcome: Replied, Bytes: []byte{8, 1}},
		"empty reply": {Seq: 3, Outcome: Replied, Bytes: []byte{}},
		"status":      {Seq: 4, Outcome: Failed, Bytes: []byte("any")},
	}
}

func (r *SessionResult) generated() *pb.SessionResponse {
	g := &pb.SessionResult{Seq: r.Seq}
	switch r.Outcome {
	case Unknown:
	case Returned:
		g.Outcome = &pb.SessionResult_Response{Response: &pb.CallResponse{Result: jsonPayload(r.Text)}}
		if r.Full != nil {
			g.Outcome = &pb.SessionResult_Response{Response: r.Full}
		}
	case Accepted:
		g.Outcome = &pb.SessionResult_Accepted{Accepted: &pb.CastResponse{}}
	case Replied:
		g.Outcome = &pb.SessionResult_Reply{Reply: r.Bytes}
	case Failed:
		g.Outcome = &pb.SessionResult_Status{Status: r.Bytes}
	}
	return &pb.SessionResponse{Frame: &pb.SessionResponse_Result{Result: g}}
}

func encodeResult(t testing.TB, r *SessionResult) (frame []byte, content int) {
	t.Helper()
	reply := &durationpb.Duration{}
	if r.Outcome == Replied {
		if err := proto.Unmarshal(r.Bytes, reply); err != nil {
			t.Fatal(err)
		}
	}
	return r.Append(nil, reply)
}

func TestSessionResult(t *testing.T) {
	for name, r := range sessionResults() {
		t.Run(name, func(t *testing.T) {
			b, content := encodeResult(t, r)
			var arrived pb.SessionResponse
			if err := proto.Unmarshal(b, &arrived); err != nil || !proto.Equal(&arrived, r.generated()) {
				t.Errorf("it arrives as %v, %v", &arrived, err)
			}
			var back SessionResponse
			if err := proto.Unmarshal(b, &back); err != nil || back.Other != nil || !proto.Equal(back.Result.generated(), r.generated()) {
				t.Errorf("it comes back as %+v, %v", back, err)
			}
			var whole SessionResult
			if !whole.Decode(b[content:]) || !proto.Equal(whole.generated(), r.generated()) {
				t.Errorf("its parts are %+v", whole)
			}
		})
	}
	value := &SessionResult{Seq: 1, Outcome: Returned, Full: &pb.CallResponse{Result: &pb.Payload{Encoding: &pb.Payload_Value{Value: structpb.NewBoolValue(true)}}}}
	b, _ := encodeResult(t, value)
	var back SessionResponse
	if err := proto.Unmarshal(b, &back); err != nil || back.Result.Full == nil || !proto.Equal(back.Result.generated(), value.generated()) {
		t.Errorf("a value comes back as %+v, %v", back, err)
	}
}

func TestSessionFramesAllocate(t *testing.T) {
	m, r := sessionMessages()["call"], sessionResults()["text"]
	buffer := make([]byte, 0, 1<<13)
	if n := testing.AllocsPerRun(100, func() {
		mark, _ := m.Append(buffer, nil)
		mark.Set(1, 2)
		r.Append(buffer, nil)
	}); n > 0 {
		t.Errorf("encoding makes %v allocations", n)
	}
	request := encode(t, m)
	response, _ := encodeResult(t, r)
	var in SessionRequest
	var out SessionResponse
	if n := testing.AllocsPerRun(100, func() {
		if proto.Unmarshal(request, &in) != nil || proto.Unmarshal(response, &out) != nil {
			t.Error("it cannot be decoded")
		}
	}); n > 4 { // the kwargs, the context, all names, and the result
		t.Errorf("decoding makes %v allocations", n)
	}
}

func FuzzSessionRequest(f *testing.F) {
	for _, m := range sessionMessages() {
		f.Add(encode(f, m))
	}
	f.Add([]byte("\x0a\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var want pb.SessionRequest
		var got SessionRequest
		wantErr, gotErr := proto.Unmarshal(b, &want), proto.Unmarshal(b, &got)
		if gotErr != nil {
			return // it is stricter
		}
		if got.Other != nil {
			if wantErr != nil || !proto.Equal(&want, got.Other) {
				t.Errorf("got %v, want %v, %v", got.Other, &want, wantErr)
			}
			return
		}
		if back := got.Message.generated(); wantErr == nil && back != nil {
			clean := sorted(&want)
			clean.GetMessage().ProtoReflect().SetUnknown(nil)
			for _, h := range clean.GetMessage().GetHeaders() {
				h.ProtoReflect().SetUnknown(nil)
			}
			if b := sorted(back); !proto.Equal(b, clean) {
				t.Errorf("got %v, want %v", b, clean)
			}
		}
	})
}

func FuzzSessionResponse(f *testing.F) {
	for _, r := range sessionResults() {
		b, _ := encodeResult(f, r)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var want pb.SessionResponse
		var got SessionResponse
		if wantErr, gotErr := proto.Unmarshal(b, &want), proto.Unmarshal(b, &got); wantErr == nil && gotErr == nil && got.Other != nil && !proto.Equal(&want, got.Other) {
			t.Errorf("got %v, want %v", got.Other, &want)
		}
	})
}
