package httpfront_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/gateway"
	"github.com/oslorpc/oslorpc/internal/gateway/httpfront"
	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

func TestMain(m *testing.M) { leak.Main(m) }

// fleet is a fleet of servers on the topic volumes, with a front.
type fleet struct {
	url      string // of the registry
	http     string // of the front
	handler  *httpfront.Handler
	identify func(*http.Request) (rpc.Identity, error)
	casts,
	running chan string
	canceled chan struct{}
}

// volume is the result of a method.
type volume struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

// newFleet starts servers and a front. The function change may change the front's configuration.
func newFleet(t *testing.T, servers []string, change func(*httpfront.Config)) *fleet {
	t.Helper()
	return newGuardedFleet(t, servers, nil, change)
}

// newGuardedFleet is like newFleet, with a policy of the gateway.
func newGuardedFleet(t *testing.T, servers []string, policy *trust.Policy, change func(*httpfront.Config)) *fleet {
	t.Helper()
	f := &fleet{
		url: "memory://" + strings.ReplaceAll(t.Name(), "/", "-"), casts: make(chan string, 16), running: make(chan string, 16), canceled: make(chan struct{}, 16),
	}
	transport, err := oslorpc.Open(f.url, oslorpc.WithLogger(slog.New(slog.DiscardHandler)), oslorpc.WithStopGrace(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = transport.Close() })
	for _, name := range servers {
		f.serve(t, transport, name)
	}
	f.front(t, policy, change)
	return f
}

func (f *fleet) serve(t *testing.T, transport *oslorpc.Transport, name string) {
	t.Helper()
	s := transport.Server(rpc.Target{Topic: "volumes", Server: name})
	s.Add(oslorpc.Endpoint{Version: "1.4", Methods: f.methods(name)})
	s.Add(oslorpc.Endpoint{Namespace: "legacy", Version: "2.1", Methods: map[string]oslorpc.Method{
		"old": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (string, error) { return "old", nil }),
	}})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// creation has the arguments of a method.
type creation struct {
	Name string                `json:"name"`
	Size int64                 `json:"size"`
	Tags oslorpc.Opt[[]string] `json:"tags"`
}

func (f *fleet) methods(server string) map[string]oslorpc.Method {
	return map[string]oslorpc.Method{
		"whoami": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (string, error) { return server, nil }),
		"create": oslorpc.Func(func(_ context.Context, a creation) (volume, error) { return volume{a.Name, a.Size}, nil }).Since("1.2"),
		"echo":   oslorpc.Func(func(_ context.Context, a oslorpc.Raw) (oslorpc.Raw, error) { return a, nil }),
		"user": oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (map[string]any, error) {
			return map[string]any{"context": oslorpc.ContextFrom(ctx), "trace": oslorpc.MessageFrom(ctx).Metadata.Get("traceparent")}, nil
		}),
		"note": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (any, error) {
			f.casts <- server
			return nil, nil
		}),
		"fail": oslorpc.Func(func(context.Context, oslorpc.NoArgs) (any, error) { return nil, errors.New("the disk is full") }),
		"hang": oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (any, error) {
			f.running <- server
			<-ctx.Done()
			f.canceled <- struct{}{}
			return nil, ctx.Err()
		}),
		"list": oslorpc.Stream(func(ctx context.Context, a listing) iter.Seq2[volume, error] {
			return func(yield func(volume, error) bool) {
				for n := range a.Count {
					if !yield(volume{Name: server, Size: n}, nil) {
						f.canceled <- struct{}{}
						return
					}
				}
				switch {
				case a.Hang.Or(false):
					f.running <- server
					<-ctx.Done()
					f.canceled <- struct{}{}
				case a.Fail.Or(false):
					yield(volume{}, errors.New("the list is broken"))
				}
			}
		}),
	}
}

// listing has the arguments of a method that yields items.
type listing struct {
	Count      int64
	Fail, Hang oslorpc.Opt[bool]
}

// asGateway makes a transport a gateway.
type asGateway struct {
	oslorpc.TransportOption

	gateway *gateway.Gateway
}

func (a asGateway) Gateway() *gateway.Gateway { return a.gateway }

// front serves a front of a gateway. The policy belongs to the gateway, and may be nil.
func (f *fleet) front(t *testing.T, policy *trust.Policy, change func(*httpfront.Config)) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	g := gateway.New()
	transport, err := oslorpc.Open(f.url, asGateway{oslorpc.WithListen("127.0.0.1:0"), g}, oslorpc.WithLogger(log), oslorpc.WithStopGrace(0),
		oslorpc.WithTrust(trust.Config{Policy: policy}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = transport.Close() })
	if err := transport.Server(rpc.Target{Topic: gateway.Topic, Server: "gw"}).Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	config := httpfront.Config{Intake: g.Intake(), Log: log}
	if change != nil {
		change(&config)
	}
	handler, err := httpfront.New(config)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	f.http, f.handler = server.URL, handler
	t.Cleanup(server.Close)
}

// answer is a response.
type answer struct {
	status int
	header http.Header
	body   string
}

// problem is the problem document of a response.
type problem struct {
	Title, Detail, Kind, Server, Method, Path string
	Status                                    int
	SafeToRetry                               bool `json:"safe_to_retry"`
	Remote                                    struct{ Type, Message string }
}

func (f *fleet) post(t *testing.T, path, body string, headers ...string) answer {
	t.Helper()
	return f.do(t, http.MethodPost, path, body, headers...)
}

func (f *fleet) do(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, f.http+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for n := 0; n < len(headers); n += 2 {
		if headers[n] == "Host" {
			r.Host = headers[n+1]
		}
		r.Header.Set(headers[n], headers[n+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(text)}
}

// problem decodes the problem document of a response.
func (a answer) problem(t *testing.T) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("no problem: %d %s %s", a.status, a.header.Get("Content-Type"), a.body)
	}
	if p.Status != a.status {
		t.Errorf("the problem has status %d, the response %d", p.Status, a.status)
	}
	return p
}
