package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/oslorpc/oslorpc/internal/gateway"
	"github.com/oslorpc/oslorpc/internal/gateway/httpfront"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/rpcstatus"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// said is what an error says.
type said struct {
	kind        string
	notStarted  bool
	server, id  string
	method      string
	path        string
	text        string
	implemented []rpc.Implementation
	hops        []string
}

func saidBy(err error) said {
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok {
		return said{}
	}
	s := said{
		kind: e.Kind.Name(), notStarted: e.NotStarted, server: e.Server, id: e.InstanceID, method: e.Method, path: e.Path,
		text: sameText(e.Message), implemented: refusal.Offered(err),
	}
	if remote, failed := errors.AsType[*rpc.RemoteError](err); failed {
		s.hops = remote.Hops
	}
	return s
}

// wrong is a message that fails.
type wrong struct {
	target  rpc.Target
	method  string
	kwargs  string
	timeout time.Duration
	// once: clients try once, and have an answer long before they give up.
	once bool
	// onWire is the kind that the contract has in place of one that only clients find out.
	onWire rpc.Kind
	// toAll messages fail in the same way for each server. Others fail as a whole, or have no meaning.
	toAll bool
	// has is what the error must have, beside being the same for all.
	has func(said) bool
}

func wrongs() map[string]wrong {
	at := func(change func(*rpc.Target)) rpc.Target {
		t := rpc.Target{Topic: topic}
		change(&t)
		return t
	}
	version := func(v string) rpc.Target { return at(func(t *rpc.Target) { t.Version = v }) }
	named := func(name string) rpc.Target { return at(func(t *rpc.Target) { t.Server = name }) }
	offers := func(s said) bool { return len(s.implemented) == 2 && s.implemented[0].Version.String() == "1.4" }
	ofServer := func(s said) bool { return s.server == "a" && s.id != "" }
	return map[string]wrong{
		"unknown topic":    {target: rpc.Target{Topic: "nowhere"}, method: "whoami", timeout: 500 * time.Millisecond, onWire: rpc.Refused},
		"too new":          {target: version("1.9"), method: "whoami", toAll: true, has: offers},
		"too old":          {target: version("0.9"), method: "whoami", toAll: true, has: offers},
		"another major":    {target: version("2.0"), method: "whoami", toAll: true, has: offers},
		"no namespace":     {target: at(func(t *rpc.Target) { t.Namespace = "ns" }), method: "whoami", toAll: true, has: offers},
		"too new, by name": {target: at(func(t *rpc.Target) { t.Server, t.Version = "a", "1.9" }), method: "whoami", has: func(s said) bool { return offers(s) && ofServer(s) }},
		"unknown server":   {target: named("z"), method: "whoami", onWire: rpc.Refused},
		"unknown method":   {target: version(""), method: "nosuch", toAll: true, has: ofServer},
		"bad arguments":    {target: version(""), method: "whoami", kwargs: `{"q":1}`, toAll: true, has: func(s said) bool { return s.path == "/q" && ofServer(s) }},
		"access denied":    {target: version(""), method: "count", toAll: true, has: ofServer},
		"deadline":         {target: version(""), method: "wait", timeout: time.Second, toAll: true, has: func(s said) bool { return ofServer(s) && !s.notStarted }},
		"too large":        {target: version(""), method: "echo", kwargs: `{"x":"` + strings.Repeat("x", 200_000) + `"}`, toAll: true, has: ofServer},
		"remote":           {target: version(""), method: "fail", toAll: true, has: func(s said) bool { return slices.Equal(s.hops, []string{"a"}) && ofServer(s) }},
		"dead":             {target: rpc.Target{Topic: "dead"}, method: "whoami", timeout: 3 * time.Second, once: true, onWire: rpc.Refused, has: func(s said) bool { return s.server == "dead" && s.id != "" }},
	}
}

// fleetOfErrors is a fleet with one server, one that is dead, and a gateway before them.
type fleetOfErrors struct {
	*fleet

	gateway *gate
	http    string
}

func newFleetOfErrors(t *testing.T) *fleetOfErrors {
	t.Helper()
	f := &fleetOfErrors{fleet: newFleet(t)}
	f.serve(t, "a", oslorpc.WithLimits(rpc.Limits{MessageSize: 100_000}), oslorpc.WithTrust(trust.Config{Policy: &trust.Policy{
		Rules: []trust.Rule{{Name: "all but count", From: []string{"anyone"}, Method: []string{"whoami", "echo", "fail", "wait", "nosuch"}}},
	}}))
	dead := f.open(t, oslorpc.WithAdvertise("127.0.0.1:1")).Server(oslorpc.Target{Topic: "dead", Server: "dead"})
	if err := dead.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	g := gateway.New()
	f.gateway = &gate{transport: f.open(t, asGateway{oslorpc.WithListen("127.0.0.1:0"), g})}
	f.gateway.server = f.gateway.transport.Server(oslorpc.Target{Topic: gateway.Topic, Server: "gw"})
	if err := f.gateway.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	instance, _ := f.gateway.server.Instance()
	f.gateway.addr = instance.Addr
	front, err := g.ServeHTTP(t.Context(), "127.0.0.1:0", httpfront.Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = front.Shutdown(context.Background()) })
	f.http = "http://" + front.Addr.String() + "/v1/"
	return f
}

// An error says the same to a client that has discovery, to one behind a gateway, to a plain stub
// and over HTTP: what went wrong, whether the method may have run, which server it is about, and
// what is there instead.
func TestErrorsThroughAGateway(t *testing.T) {
	f := newFleetOfErrors(t)
	direct, behind := f.open(t), open(t, "gateway://"+f.gateway.addr)
	conn := f.gateway.connect(t)
	for name, w := range wrongs() {
		if w.timeout == 0 {
			w.timeout = patience
		}
		if w.kwargs == "" {
			w.kwargs = "{}"
		}
		for _, all := range []bool{false, true} {
			if all && !w.toAll {
				continue
			}
			title := name
			if all {
				title += ", to all"
			}
			t.Run(title, func(t *testing.T) {
				t.Parallel()
				err := w.fail(t, direct, all)
				want := saidBy(err)
				if w.has != nil && !w.has(want) || want.text == "" || want.method != w.method {
					t.Errorf("directly: got %+v", want)
				}
				onWire := want
				if w.onWire != rpc.Unknown {
					onWire.kind = w.onWire.Name()
				}
				through := want // but for what it asks
				through.text = strings.Replace(want.text, "according to this process", "according to the gateway at "+f.gateway.addr, 1)
				if name == "dead" { // only the gateway finds out
					through = onWire
				}
				over := want
				over.text = "" // it is compared as a whole
				over.check(t, "over HTTP", f.post(t, &w, all, err.Error()))
				through.check(t, "behind a gateway", saidBy(w.fail(t, behind, all)))
				onWire.check(t, "of a plain stub", saidBy(w.call(t, conn, all)))
			})
		}
	}
}

func (s said) check(t *testing.T, whose string, got said) {
	t.Helper()
	if !reflect.DeepEqual(got, s) {
		t.Errorf("%s: got\n%+v, want\n%+v", whose, got, s)
	}
}

// fail sends the message as a client, and returns the error.
func (w *wrong) fail(t *testing.T, from *oslorpc.Transport, all bool) (err error) {
	t.Helper()
	c := from.Client(w.target, oslorpc.WithTimeout(w.timeout))
	if w.once {
		c = c.Prepare(oslorpc.WithRetry(0), oslorpc.WithTimeout(patience))
	}
	if !all {
		_, err = oslorpc.Call[any](t.Context(), c, w.method, oslorpc.Raw(w.kwargs))
		return err
	}
	for _, failed := range oslorpc.Gather[any](t.Context(), c, w.method, oslorpc.Raw(w.kwargs)) {
		err = errors.Join(err, failed)
	}
	return err
}

// call sends the message as a plain stub, and returns the error.
func (w *wrong) call(t *testing.T, conn *grpc.ClientConn, all bool) error {
	t.Helper()
	m := &pb.Message{Target: &pb.Target{Topic: &w.target.Topic}, Method: w.method, Kwargs: text(w.kwargs), Remaining: durationpb.New(w.timeout)}
	for value, set := range map[*string]**string{&w.target.Server: &m.Target.Server, &w.target.Version: &m.Target.Version, &w.target.Namespace: &m.Target.Namespace} {
		if *value != "" {
			*set = value
		}
	}
	if !all {
		_, err := pb.NewRPCServiceClient(conn).Call(bounded(t), &pb.CallRequest{Message: m})
		return rpcstatus.Decode(err, true)
	}
	stream, err := pb.NewGatewayServiceClient(conn).Gather(bounded(t), &pb.GatherRequest{Message: m})
	if err != nil {
		t.Fatal(err)
	}
	r, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	of := &spb.Status{}
	if err := proto.Unmarshal(r.GetStatus(), of); err != nil {
		t.Fatal(err)
	}
	return rpcstatus.Decode(status.FromProto(of).Err(), true)
}

// sameText returns a text without what differs from one client to the next: how long it waited, and
// which end noticed the deadline first.
func sameText(text string) string {
	text = strings.ReplaceAll(text, "the deadline passed while the method ran", "no answer came; the method may have run")
	return waits.ReplaceAllString(text, "")
}

var waits = regexp.MustCompile(` \(waited [^)]*\)| after [0-9.]+m?s`)

// problem is the problem of an error over HTTP.
type problem struct {
	Kind, Detail, Server, Method, Topic, Path string

	SafeToRetry bool   `json:"safe_to_retry"`
	InstanceID  string `json:"instance_id"`
	Implemented []struct{ Namespace, Version string }
	Remote      struct{ Hops []string }
}

// post sends the message over HTTP, and returns what the error says, which has the text of a
// client's error.
func (f *fleetOfErrors) post(t *testing.T, w *wrong, all bool, as string) said {
	t.Helper()
	query := url.Values{"timeout": {w.timeout.String()}}
	for name, value := range map[string]string{"server": w.target.Server, "version": w.target.Version, "namespace": w.target.Namespace} {
		if value != "" {
			query.Set(name, value)
		}
	}
	way := "call"
	if all {
		way = "gather"
	}
	r, err := http.NewRequestWithContext(bounded(t), http.MethodPost, f.http+way+"/"+w.target.Topic+"/"+w.method+"?"+query.Encode(), strings.NewReader(w.kwargs))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var p problem
	if all {
		var answer struct{ Replies []struct{ Error problem } }
		if err := json.Unmarshal(body, &answer); err != nil || len(answer.Replies) != 1 {
			t.Fatalf("got %s, %v", body, err)
		}
		p = answer.Replies[0].Error
	} else if err := json.Unmarshal(body, &p); err != nil {
		t.Fatalf("got %s, %v", body, err)
	}
	if got, want := sameText(p.Detail), sameText(as); got != want || p.Topic != w.target.Topic {
		t.Errorf("over HTTP, of topic %s: got\n%s, want\n%s", p.Topic, got, want)
	}
	return p.said(t)
}

func (p *problem) said(t *testing.T) said {
	t.Helper()
	s := said{kind: p.Kind, notStarted: p.SafeToRetry, server: p.Server, id: p.InstanceID, method: p.Method, path: p.Path, hops: p.Remote.Hops}
	for _, i := range p.Implemented {
		version, err := rpc.ParseVersion(i.Version)
		if err != nil {
			t.Error(err)
		}
		s.implemented = append(s.implemented, rpc.Implementation{Namespace: i.Namespace, Version: version})
	}
	return s
}
