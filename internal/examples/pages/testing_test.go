//go:build unix

package pages

import (
	"context"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

type Hello struct{}

func (Hello) Greet(_ context.Context, args struct {
	Name string `json:"name"`
}) (string, error) {
	return "hello " + args.Name, nil
}

// Greet is the code under test.
func Greet(ctx context.Context, t *oslorpc.Transport, name string) (string, error) {
	c := t.Client(oslorpc.Target{Topic: "hello"})
	return oslorpc.Call[string](ctx, c, "greet", map[string]any{"name": name})
}

func serve(t *testing.T) (*oslorpctest.Fleet, *oslorpctest.Server) {
	f := oslorpctest.New(t)
	target := oslorpc.Target{Topic: "hello", Server: "node1"}
	return f, f.Serve(target, []oslorpc.Endpoint{{Struct: oslorpc.Methods(Hello{})}})
}

func TestGreet(t *testing.T) {
	f, _ := serve(t)
	if got, err := Greet(t.Context(), f.Transport(), "you"); err != nil || got != "hello you" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestServerDies(t *testing.T) {
	f, node1 := serve(t)
	node1.Hold() // messages arrive and wait
	failed := make(chan error, 1)
	go func() {
		_, err := Greet(t.Context(), f.Transport(), "you")
		failed <- err
	}()
	f.Await(1, oslorpctest.For("greet")) // the message has arrived
	node1.Kill()
	if err := <-failed; !errors.Is(err, oslorpc.OutcomeUnknown) || oslorpc.SafeToRetry(err) {
		t.Errorf("the caller cannot know whether the message ran, and got %v", err)
	}
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the minute takes no time
		f, node1 := serve(t)
		node1.Hold()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := Greet(ctx, f.Transport(), "you"); !errors.Is(err, oslorpc.Timeout) {
			t.Errorf("got %v", err)
		}
	})
}

// Docs/testing.md shows the code of the tests above.
func TestTestingPageShowsTheCode(t *testing.T) {
	code, err := os.ReadFile("testing_test.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(docs + "testing.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 3 {
		t.Errorf("the page shows %d blocks", len(blocks))
	}
	for _, b := range blocks {
		if !strings.Contains(string(code), b[1]) {
			t.Errorf("the page shows code that no test runs:\n%s", b[1])
		}
	}
}
