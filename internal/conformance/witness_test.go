package conformance

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// witness records which methods run.
type witness struct {
	mu   sync.Mutex
	seen []string
}

// bob is the request context of every message. A method that does not get it says so.
var bob = oslorpc.RequestContext{"user": "bob"}

func (w *witness) see(ctx context.Context, what string) string {
	if !reflect.DeepEqual(oslorpc.ContextFrom(ctx), bob) {
		what += " without its context"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, what)
	return what
}

// methods returns methods of an endpoint that return their names.
func (w *witness) methods(endpoint string, names ...string) map[string]oslorpc.Method {
	methods := map[string]oslorpc.Method{}
	for _, name := range names {
		methods[name] = oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (string, error) {
			return w.see(ctx, endpoint+"."+name), nil
		})
	}
	return methods
}

// message is a message that can be malformed: nil fields are absent, and null is null.
type message struct {
	namespace, version, method any
	args                       string // empty for an empty object
	context                    string // empty for bob's
}

type nothing struct{}

// null stands for the JSON value null.
var null nothing

// noArgs means that the arguments are absent.
const noArgs = "absent"

// text returns the message as JSON.
func (m message) text(t *testing.T) []byte {
	t.Helper()
	target, whole := map[string]any{"topic": topic}, map[string]any{}
	whole["context"] = map[string]any{"json": cmp.Or(m.context, `{"user":"bob"}`)}
	put(target, "namespace", m.namespace)
	put(target, "version", m.version)
	whole["target"] = target
	put(whole, "method", m.method)
	switch m.args {
	case noArgs:
	case "":
		whole["kwargs"] = map[string]any{"json": "{}"}
	default:
		whole["kwargs"] = map[string]any{"json": m.args}
	}
	text, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func put(object map[string]any, name string, value any) {
	switch value {
	case nil:
	case null:
		object[name] = nil
	default:
		object[name] = value
	}
}

// served is a server that accepts messages which the test encodes itself.
type served struct{ conn *grpc.ClientConn }

func serve(t *testing.T, options []oslorpc.ServerOption, endpoints ...oslorpc.Endpoint) (*served, error) {
	t.Helper()
	transport, err := oslorpc.Open("memory://dispatch", oslorpc.WithStopGrace(0), oslorpc.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := transport.Close(); err != nil {
			t.Error(err)
		}
	})
	s := transport.Server(oslorpc.Target{Topic: topic, Server: "testserver"}, options...)
	s.Add(endpoints...)
	if err := s.Start(t.Context()); err != nil {
		return nil, err
	}
	instance, _ := s.Instance()
	conn, err := grpc.NewClient(instance.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // no RPC is in progress on it
	return &served{conn}, nil
}

// reply is the outcome of a message.
type reply struct {
	result string // JSON, or a value as JSON
	err    error
	unsaid error // why the contract cannot express the message
}

func (s *served) ask(t *testing.T, m message) reply {
	t.Helper()
	var sent pb.Message
	if err := protojson.Unmarshal(m.text(t), &sent); err != nil {
		return reply{unsaid: err}
	}
	var peer grpcpeer.Peer
	response, err := pb.NewRPCServiceClient(s.conn).Call(t.Context(), &pb.CallRequest{Message: &sent}, grpc.Peer(&peer))
	if err != nil {
		return reply{err: rpcstatus.Decode(err, peer.Addr != nil)}
	}
	if text := response.GetResult().GetJson(); text != "" {
		return reply{result: text}
	}
	text, err := protojson.Marshal(response.GetResult().GetValue())
	if err != nil {
		t.Fatal(err)
	}
	return reply{result: string(text)}
}

// outcome is the expected outcome of a message.
type outcome struct {
	calls     string       // the one method that runs, if any
	result    string       // its result as JSON, by default its name
	kind      oslorpc.Kind // of the error, if there is one
	says      string       // what the error says
	method    string       // what the error names as the method, if it is checked
	unsayable bool         // the contract has no such message
	noStart   string       // the server does not start, and says this
}

func calls(method string) outcome { return outcome{calls: method} }

func unsupported(version string) outcome {
	return outcome{kind: oslorpc.UnsupportedVersion, says: "version " + version + " of the "}
}

func noSuchMethod(method string) outcome {
	return outcome{kind: oslorpc.NoSuchMethod, says: `no endpoint has a method "` + method + `"`, method: method}
}

func invalid(says string) outcome { return outcome{kind: oslorpc.InvalidTarget, says: says} }

func badArguments(says string) outcome { return outcome{kind: oslorpc.BadArguments, says: says} }

func (o outcome) check(t *testing.T, w *witness, got reply) {
	t.Helper()
	if (got.unsaid != nil) != o.unsayable {
		t.Fatalf("the message cannot be expressed: %v", got.unsaid)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if seen := strings.Join(w.seen, ", "); seen != o.calls {
		t.Errorf("%q ran, want %q", seen, o.calls)
	}
	switch {
	case o.unsayable:
	case o.kind != oslorpc.Kind(0):
		o.checkError(t, got.err)
	case got.err != nil:
		t.Error(got.err)
	default:
		want := o.result
		if want == "" {
			want = `"` + o.calls + `"`
		}
		if got.result != want {
			t.Errorf("the result is %s, want %s", got.result, want)
		}
	}
}

func (o outcome) checkError(t *testing.T, err error) {
	t.Helper()
	e, ok := errors.AsType[*oslorpc.Error](err)
	if !ok || e.Kind != o.kind || e.NotStarted != (o.calls == "") || !strings.Contains(err.Error(), o.says) {
		t.Errorf("got %v (%s, safe to retry: %v), want %s that says %q",
			err, oslorpc.KindOf(err).Name(), oslorpc.SafeToRetry(err), o.kind.Name(), o.says)
	}
	if ok && o.method != "" && e.Method != o.method {
		t.Errorf("it is about the method %q, want %q", e.Method, o.method)
	}
}
