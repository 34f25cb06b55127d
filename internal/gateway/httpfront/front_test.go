package httpfront_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/gateway/httpfront"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// byToken lets callers prove a name by a header.
func byToken(c *httpfront.Config) {
	c.Identify = func(r *http.Request) (rpc.Identity, error) {
		name, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !bearer {
			return rpc.Identity{}, errors.New("the gateway requires a token")
		}
		return rpc.Identity{Proof: rpc.ProofToken, Names: []string{"token:test/" + name}}, nil
	}
}

// TestGate checks that the policy applies to every delivery, and to what callers can list.
func TestGate(t *testing.T) {
	t.Parallel()
	f := newGuardedFleet(t, []string{"a"}, &trust.Policy{Rules: []trust.Rule{
		{From: []string{"token:test/alice"}}, {From: []string{"token:test/bob"}, Topic: []string{"volumes"}, Method: []string{"whoami"}},
	}}, byToken)
	for _, delivery := range []string{"call", "cast", "fanout", "gather", "multicall"} {
		path := "/v1/" + delivery + "/volumes/"
		if got := f.post(t, path+"whoami", "", "Authorization", "Bearer bob"); got.status >= 300 {
			t.Errorf("%s: bob got %d %s", delivery, got.status, got.body)
		}
		got := f.post(t, path+"note", "", "Authorization", "Bearer bob")
		if p := got.problem(t); got.status != 403 || p.Kind != "AccessDenied" || !p.SafeToRetry {
			t.Errorf("%s: bob got %d %s", delivery, got.status, got.body)
		}
		got = f.post(t, path+"whoami", "")
		if got.problem(t); got.status != 401 || got.header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: a stranger got %d %s", delivery, got.status, got.body)
		}
	}
	if got := f.do(t, "GET", "/v1/topics", "", "Authorization", "Bearer alice"); !strings.Contains(got.body, `"gateway"`) {
		t.Errorf("alice sees %s", got.body)
	}
	if got := f.do(t, "GET", "/v1/topics", "", "Authorization", "Bearer bob"); !strings.Contains(got.body, `"volumes"`) || strings.Contains(got.body, `"gateway"`) {
		t.Errorf("bob sees %s", got.body)
	}
	if got := f.do(t, "GET", "/v1/topics", "", "Authorization", "Bearer eve"); got.body != `{"topics":[]}` {
		t.Errorf("eve reads %d %s", got.status, got.body)
	}
}

func TestTopics(t *testing.T) {
	t.Parallel()
	f := newFleet(t, []string{"b", "a"}, nil)
	var doc struct {
		Topics []struct {
			Exchange, Topic string
			Servers         []struct {
				Server, State string
				Versions      []struct{ Namespace, Version string }
			}
		}
	}
	got := f.do(t, "GET", "/v1/topics", "")
	if err := json.Unmarshal([]byte(got.body), &doc); err != nil || len(doc.Topics) != 2 || len(doc.Topics[1].Servers) != 2 {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	if s := doc.Topics[1].Servers[0]; s.Server != "a" || s.State != "active" || len(s.Versions) != 2 {
		t.Errorf("got %+v", s)
	}
	if got := f.do(t, "GET", "/v1/topics/volumes", ""); got.status != 200 || !strings.Contains(got.body, `"server":"b"`) {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

// TestStop checks that a stopping front says that its messages may go elsewhere.
func TestStop(t *testing.T) {
	t.Parallel()
	f := newFleet(t, []string{"a"}, nil)
	f.do(t, "GET", "/healthz", "").check(t, 200, `{"status":"serving"}`)
	f.handler.Stop()
	for _, r := range [][2]string{{"POST", "/v1/call/volumes/whoami"}, {"GET", "/healthz"}} {
		got := f.do(t, r[0], r[1], "")
		if p := got.problem(t); got.status != 503 || p.Kind != "Refused" || !p.SafeToRetry {
			t.Errorf("%s: got %d %s", r[1], got.status, got.body)
		}
	}
}

// TestTooManyRequests checks that requests beyond the limit are refused at once.
func TestTooManyRequests(t *testing.T) {
	t.Parallel()
	f := newFleet(t, []string{"a"}, func(c *httpfront.Config) { c.MaxRequests = 1 })
	done := make(chan answer)
	go func() { done <- f.post(t, "/v1/call/volumes/hang?timeout=1s", "") }()
	<-f.running
	got := f.post(t, "/v1/call/volumes/whoami", "")
	if p := got.problem(t); got.status != 503 || p.Kind != "Refused" || !p.SafeToRetry {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if got := <-done; got.status != 504 {
		t.Errorf("got %d %s", got.status, got.body)
	}
}
