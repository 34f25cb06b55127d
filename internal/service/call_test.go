package service

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/msgcontext"
	"github.com/oslorpc/oslorpc/internal/payload"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestCallAnswersInTheEncodingOfItsArguments(t *testing.T) {
	t.Parallel()
	f := serve(t, newServer(t, "q", "net1", methods{"echo": echo(), "hello": text(`{"a":[1,2.5,null,"x"]}`)}))
	const large = `{"n":9007199254740993,"f":1.0,"big":123456789012345678901234567890}`
	for _, test := range []struct {
		name, method             string
		kwargs                   *pb.Payload
		wantEncoding, wantResult string
	}{
		{"json", "echo", asJSON(`{"a":1}`), "json", `{"a":1}`},
		{"json is lossless", "echo", asJSON(large), "json", large},
		{"json of another method", "hello", asJSON("{}"), "json", `{"a":[1,2.5,null,"x"]}`},
		{"empty json", "echo", asJSON(""), "json", "{}"},
		{"value", "echo", asValue(t, `{"a":{"b":[true,"x",null,-1,0.5]}}`), "value", `{"a":{"b":[true,"x",null,-1,0.5]}}`},
		{"the largest exact integer", "echo", asValue(t, `{"n":9007199254740991}`), "value", `{"n":9007199254740991}`},
		{"no kwargs", "hello", nil, "value", `{"a":[1,2.5,null,"x"]}`},
		{"no encoding", "echo", &pb.Payload{}, "value", "{}"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			call, err := f.Call(t.Context(), &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: test.method, Kwargs: test.kwargs}})
			if err != nil {
				t.Fatal(err)
			}
			stream, err := f.multicall(t.Context(), &pb.MulticallRequest{Message: &pb.Message{Target: to("q"), Method: test.method, Kwargs: test.kwargs}})
			if err != nil || len(stream) != 1 {
				t.Fatalf("multicall: %v, %v", stream, err)
			}
			_, monitored, err := f.monitored(t.Context(), &pb.MonitoredCallRequest{Message: &pb.Message{Target: to("q"), Method: test.method, Kwargs: test.kwargs}})
			if err != nil {
				t.Fatal(err)
			}
			for form, got := range map[string]*pb.Payload{
				"call": call.GetResult(), "multicall": stream[0].GetItem(), "monitored call": monitored.GetResult(),
			} {
				if name, text := encoding(t, got); name != test.wantEncoding || text != test.wantResult {
					t.Errorf("%s: got %s %s, want %s %s", form, name, text, test.wantEncoding, test.wantResult)
				}
			}
		})
	}
}

func TestIntegerThatAValueCannotHold(t *testing.T) {
	t.Parallel()
	f := serve(t, newServer(t, "q", "net1", methods{"echo": echo(), "large": text(`{"ids":[1,9007199254740993]}`)}))
	ids, err := structpb.NewStruct(map[string]any{"ids": []any{1, int64(1 << 53)}})
	if err != nil {
		t.Fatal(err)
	}
	kwargs := &pb.Payload{Encoding: &pb.Payload_Value{Value: structpb.NewStructValue(ids)}}
	for form, err := range f.attempt(t, &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "echo", Kwargs: kwargs}}) {
		t.Run(form, func(t *testing.T) {
			if e := check(t, err, rpc.BadArguments, true, "kwargs: ", "at /ids/1", "2^53"); e.Path != "/ids/1" {
				t.Errorf("the path is %q", e.Path)
			}
		})
	}
	for form, err := range f.attempt(t, &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "echo", Context: kwargs}}) {
		t.Run(form, func(t *testing.T) {
			check(t, err, rpc.BadArguments, true, "context: ", "at /ids/1")
		})
	}

	_, err = f.Call(t.Context(), &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "large"}}) // the method ran
	if e := check(t, err, rpc.BadResult, false, "2^53"); e.Path != "/ids/1" {
		t.Errorf("the path is %q", e.Path)
	}
	if response, err := f.Call(t.Context(), &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "large", Kwargs: asJSON("{}")}}); err != nil {
		t.Error(err)
	} else if _, text := encoding(t, response.GetResult()); text != `{"ids":[1,9007199254740993]}` {
		t.Errorf("as json: %s", text)
	}
}

// A method must not run without the arguments that a newer client encoded differently.
func TestPayloadInAnUnknownEncoding(t *testing.T) {
	t.Parallel()
	f := serve(t, newServer(t, "q", "net1", methods{"echo": echo()}))
	future := &pb.Payload{}
	future.ProtoReflect().SetUnknown([]byte{0x7a, 1, 'x'}) // field 15
	for form, err := range f.attempt(t, &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "echo", Kwargs: future}}) {
		t.Run(form, func(t *testing.T) { check(t, err, rpc.BadArguments, true, "kwargs: ", "encoding") })
	}
	for form, err := range f.attempt(t, &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "echo", Context: future}}) {
		t.Run(form, func(t *testing.T) { check(t, err, rpc.BadArguments, true, "context: ", "encoding") })
	}
}

// The arguments are converted after the message is admitted, and not while its server is looked up.
func TestContentIsReadLate(t *testing.T) {
	t.Parallel()
	in := &incoming{}
	broken := &pb.Payload{Encoding: &pb.Payload_Value{Value: structpb.NewNumberValue(math.NaN())}}
	if err := in.read(t.Context(), &pb.Message{Target: to("q"), Method: "echo", Kwargs: broken, Context: asJSON(`{}`)}); err != nil {
		t.Fatal(err)
	}
	if in.Kwargs != "" || in.Message.Context != "" {
		t.Errorf("read early: %q, %q", in.Kwargs, in.Message.Context)
	}
	_, _, err := in.ReadContent()
	check(t, rpcstatus.Encode(err, nil).Err(), rpc.BadArguments, true, "kwargs")
	if in.encoded != nil {
		t.Error("the message keeps what it was read from")
	}
}

func TestPayloadsThatAreNoObject(t *testing.T) {
	t.Parallel()
	f := serve(t, newServer(t, "q", "net1", methods{"foo": function(func(context.Context, struct{}) (any, error) { return nil, nil })}))
	for _, bad := range []*pb.Payload{
		asJSON("[]"), asJSON("null"), asJSON("1"), asJSON(`"x"`), asJSON(" "), asJSON("oops"),
		asValue(t, "[]"), asValue(t, "null"), asValue(t, `"x"`), {Encoding: &pb.Payload_Value{}},
	} {
		t.Run(fmt.Sprint(bad), func(t *testing.T) {
			t.Parallel()
			_, err := f.Call(t.Context(), &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "foo", Kwargs: bad}})
			check(t, err, rpc.BadArguments, true, "must be a JSON object")
			_, err = f.Call(t.Context(), &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "foo", Context: bad}})
			check(t, err, rpc.BadArguments, true, "context must be a JSON object")
		})
	}
}

func TestStreams(t *testing.T) {
	t.Parallel()
	broken := &dispatch.Method{Bind: func(string) (dispatch.Invocation, error) {
		return func(_ context.Context, emit dispatch.Emit) error {
			return errors.Join(emit("1"), emit("2"), &dispatch.MethodError{Err: errors.New("broken")})
		}, nil
	}}
	f := serve(t, newServer(t, "q", "net1", methods{
		"many": items("1", "[2]", "null"), "none": items(), "broken": broken,
	}))
	for _, test := range []struct {
		method, last string
		items        []string
	}{{"many", "null", []string{"1", "[2]", "null"}}, {"none", "null", nil}} {
		all, err := f.multicall(t.Context(), &pb.MulticallRequest{Message: &pb.Message{Target: to("q"), Method: test.method, Kwargs: asJSON("{}")}})
		if err != nil {
			t.Fatal(err)
		}
		if got := texts(t, all); !slices.Equal(got, test.items) {
			t.Errorf("%s: got %v, want %v", test.method, got, test.items)
		}
		response, err := f.Call(t.Context(), &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: test.method, Kwargs: asJSON("{}")}})
		if err != nil {
			t.Fatal(err)
		}
		if _, got := encoding(t, response.GetResult()); got != test.last {
			t.Errorf("%s, called: got %s, want %s", test.method, got, test.last)
		}
	}

	all, err := f.multicall(t.Context(), &pb.MulticallRequest{Message: &pb.Message{Target: to("q"), Method: "broken"}})
	check(t, err, rpc.Remote, false, "broken")
	if got := texts(t, all); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("before the failure came %v", got)
	}
	_, err = f.Call(t.Context(), &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "broken"}})
	check(t, err, rpc.Remote, false, "broken")
}

func texts(t *testing.T, all []*pb.MulticallResponse) []string {
	t.Helper()
	list := make([]string, len(all))
	for i, r := range all {
		_, list[i] = encoding(t, r.GetItem())
	}
	return list
}

func TestCastIsAnsweredBeforeItRuns(t *testing.T) {
	t.Parallel()
	g := newGate()
	f := serve(t, newServer(t, "q", "net1", methods{"foo": g.method()}))
	_, err := f.Cast(t.Context(), &pb.CastRequest{Message: &pb.Message{Target: to("q"), Method: "foo", Id: "a"}})
	if err != nil {
		t.Fatal(err)
	}
	<-g.entered
	if _, err := f.Cast(t.Context(), &pb.CastRequest{Message: &pb.Message{Target: to("q"), Method: "foo", Id: "a"}}); err != nil {
		t.Errorf("a repeated cast: %v", err)
	}
	_, err = f.Call(t.Context(), &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "foo", Id: "a"}})
	check(t, err, rpc.OutcomeUnknown, false, "received before")
	close(g.open)
}

func TestMethodGetsTheRequestContext(t *testing.T) {
	t.Parallel()
	f := serve(t, newServer(t, "q", "net1", methods{
		"whoami": function(func(ctx context.Context, _ payload.Raw) (any, error) { return msgcontext.Dict(ctx)["user"], nil }),
	}))
	for _, test := range []struct {
		context *pb.Payload
		want    string
	}{{asJSON(`{"user":"bob"}`), `"bob"`}, {asValue(t, `{"user":"bob"}`), `"bob"`}, {nil, "null"}, {&pb.Payload{}, "null"}, {asJSON("{}"), "null"}} {
		response, err := f.Call(t.Context(), &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "whoami", Context: test.context, Kwargs: asJSON("{}")}})
		if err != nil {
			t.Fatal(err)
		}
		if _, got := encoding(t, response.GetResult()); got != test.want {
			t.Errorf("with %v: got %s, want %s", test.context, got, test.want)
		}
	}
}

func TestRemoteErrorIsSignedByItsServer(t *testing.T) {
	t.Parallel()
	boom := function(func(context.Context, payload.Raw) (any, error) { panic("boom") })
	fail := function(func(context.Context, payload.Raw) (any, error) {
		return nil, fmt.Errorf("no: %w", context.DeadlineExceeded)
	})
	f := serve(t, newServer(t, "q", "net1", methods{"boom": boom, "fail": fail}))
	for method, want := range map[string]string{"boom": "panic", "fail": "context.deadlineExceededError"} {
		_, err := f.Call(t.Context(), &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: method}})
		e := check(t, err, rpc.Remote, false)
		if e.Server != "net1" || e.InstanceID != "b1.net1" || e.Method != method {
			t.Errorf("it is signed %+v", e)
		}
		r, ok := errors.AsType[*rpc.RemoteError](e)
		if !ok || r.Type != want || (method == "boom") != (len(r.Stack) > 0) || !slices.Equal(r.Hops, []string{"net1"}) {
			t.Errorf("got %+v", r)
		}
	}
}

func TestResultThatIsNotJSON(t *testing.T) {
	t.Parallel()
	f := serve(t, newServer(t, "q", "net1", methods{
		"chan": function(func(context.Context, payload.Raw) (any, error) { return map[string]any{"a": make(chan int)}, nil }),
		"raw":  text("{oops"),
	}))
	for method, kwargs := range map[string]*pb.Payload{"chan": asJSON("{}"), "raw": nil} {
		_, err := f.Call(t.Context(), &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: method, Kwargs: kwargs}})
		check(t, err, rpc.BadResult, false)
	}
	if _, err := f.multicall(t.Context(), &pb.MulticallRequest{Message: &pb.Message{Target: to("q"), Method: "raw"}}); err == nil || strings.Contains(err.Error(), "lost") {
		t.Errorf("got %v", err)
	}
}
