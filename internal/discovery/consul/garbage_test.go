package consul

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/oslorpc/oslorpc/internal/lograte"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// pretend starts a server that answers like Consul, with these lists of names and of services.
func pretend(t *testing.T, names, services string) (address string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		w.Header().Set("X-Consul-Index", "7")
		w.Header().Set("X-Consul-Lastcontact", "0")
		if request.URL.Path == "/v1/catalog/services" {
			_, _ = io.WriteString(w, names)
		} else {
			_, _ = io.WriteString(w, services)
		}
	}))
	t.Cleanup(server.Close)
	return "consul://" + server.Listener.Addr().String()
}

// TestNulls has null in every place of an answer where JSON allows it.
func TestNulls(t *testing.T) {
	t.Parallel()
	good := `{"Node": null, "Service": {"ID": "x", "Service": "oslorpc-nova-compute", "Address": "h", "Port": 1, "Tags": null, "Meta":
		{"rpc-topic": "compute", "rpc-exchange": "nova", "rpc-instance": "I", "rpc-boot": "B"}}, "Checks": [null, {"Status": null}]}`
	for name, services := range map[string]string{
		"entry": "null", "empty": "{}", "service": `{"Service": null, "Checks": null}`, "metadata": `{"Service": {"Meta": null}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &lockedBuffer{}
			r, err := Open(pretend(t, `{"oslorpc-nova-compute": null}`, "["+services+","+good+"]"), slog.New(slog.NewTextHandler(log, nil)))
			must(t, err)
			t.Cleanup(func() { must(t, r.Close(context.Background())) })
			listed, err := r.List(t.Context())
			if err != nil || len(listed) != 1 {
				t.Errorf("List: %v, %v, want the good one", listed, err)
			}
			watchCompute(t, r).until("has one", func(u registry.Update) bool { return u.Err == nil && len(u.Instances) == 1 })
			if text := log.String(); !strings.Contains(text, "level=ERROR") || !strings.Contains(text, "skipping") {
				t.Errorf("it logged, where it skipped a service:\n%s", text)
			}
		})
	}
}

// A value that is not a list does not count as an empty list.
func TestNull(t *testing.T) {
	t.Parallel()
	for _, names := range []string{"null", `{"oslorpc-nova-compute": []}`, "", "<html>", "[]"} {
		r := open(t, pretend(t, names, "null"))
		if listed, err := r.List(t.Context()); !errors.Is(err, rpc.Unreachable) {
			t.Errorf("List with the names %q: %v, %v, want an error of kind %q", names, listed, err, rpc.Unreachable)
		}
		if err := watchCompute(t, r).failure(); !errors.Is(err, rpc.Unreachable) || !strings.Contains(err.Error(), "null") {
			t.Errorf("Watch: %v, want an error of kind %q that says why", err, rpc.Unreachable)
		}
	}
}

// TestEndlessTopic has one topic that is too large to read. List returns the others. The limit is
// small in this test: to read 64 MiB takes longer than an agent may on a busy machine.
func TestEndlessTopic(t *testing.T) {
	t.Parallel()
	const most = 1 << 20
	piece := fmt.Appendf(nil, "{%q:%q},", "Node", strings.Repeat("x", most/4))
	good := `[{"Service": {"ID": "x", "Service": "oslorpc-nova-compute", "Address": "h", "Port": 1, "Meta":
		{"rpc-topic": "compute", "rpc-exchange": "nova", "rpc-instance": "I", "rpc-boot": "B"}}}]`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		w.Header().Set("X-Consul-Index", "7")
		w.Header().Set("X-Consul-Lastcontact", "0")
		switch request.URL.Path {
		case "/v1/catalog/services":
			_, _ = io.WriteString(w, `{"oslorpc-nova-compute": [], "oslorpc-nova-evil": []}`)
		case "/v1/health/service/oslorpc-nova-compute":
			_, _ = io.WriteString(w, good)
		default:
			_, err := io.WriteString(w, "[")
			for err == nil {
				_, err = w.Write(piece)
			}
		}
	}))
	t.Cleanup(server.Close)
	s, err := parseURL("consul://" + server.Listener.Addr().String())
	must(t, err)
	s.maxAnswer = most
	log := &lockedBuffer{}
	r, err := newRegistry(s, slog.New(slog.NewTextHandler(log, nil)))
	must(t, err)
	t.Cleanup(func() { must(t, r.Close(context.Background())) })
	eventually(t, "List has the other topic", func() bool {
		list, err := r.List(t.Context())
		slow := err != nil && strings.Contains(err.Error(), errNoAnswer.Error()) // on a loaded machine
		if !slow && (err != nil || len(list) != 1) {
			t.Fatalf("List: %v, %v, want the other topic", list, err)
		}
		return err == nil
	})
	if text := log.String(); !strings.Contains(text, "oslorpc-nova-evil") {
		t.Errorf("it logged %q, want the name of what it left out", text)
	}
}

// A program that keeps registering different broken services does not fill the logs of others.
func TestBrokenServicesDoNotFillTheLog(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		w.Header().Set("X-Consul-Index", "7")
		w.Header().Set("X-Consul-Lastcontact", "0")
		if request.URL.Path == "/v1/catalog/services" {
			_, _ = io.WriteString(w, `{"oslorpc-nova-evil": []}`)
			return
		}
		_, _ = fmt.Fprintf(w, `[{"Service": {"ID": "x%d", "Service": "oslorpc-nova-evil"}}]`, asked.Add(1))
	}))
	t.Cleanup(server.Close)
	r, log := logged(t, "consul://"+server.Listener.Addr().String())
	for range 50 {
		if _, err := r.List(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	const line = "skipping services in Consul that have a name of oslorpc but cannot be used"
	if n := strings.Count(log.String(), line); asked.Load() < 50 || n == 0 || n > 2*lograte.Burst {
		t.Errorf("of %d answers, %d are logged:\n%s", asked.Load(), n, log)
	}
}

// TestEndlessAnswer has an answer without an end.
func TestEndlessAnswer(t *testing.T) {
	t.Parallel()
	piece := fmt.Appendf(nil, "%q:[],", "oslorpc-"+strings.Repeat("x", 1<<20))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Consul-Index", "7")
		w.Header().Set("X-Consul-Lastcontact", "0")
		_, err := io.WriteString(w, "{")
		for err == nil {
			_, err = w.Write(piece)
		}
	}))
	t.Cleanup(server.Close)
	r := open(t, "consul://"+server.Listener.Addr().String())
	_, err := r.List(t.Context())
	late := err != nil && strings.Contains(err.Error(), errNoAnswer.Error()) // on a slow machine
	if !errors.Is(err, rpc.Unreachable) || !late && !strings.Contains(err.Error(), "larger than 64 MiB") {
		t.Errorf("List: %v, want an error of kind %q that says why", err, rpc.Unreachable)
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	if memory.Sys > 2<<30 {
		t.Errorf("the process took %d MiB", memory.Sys>>20)
	}
}
