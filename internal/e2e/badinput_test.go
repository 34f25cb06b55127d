package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/golden"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// badInput is a message that cannot be delivered, with the error for its sender.
type badInput struct {
	Case string `json:"case"`
	// RPC is call, cast, multicall or fanout.
	RPC string `json:"rpc"`
	// Target changes the target of the client, whose topic is golden. null clears a field.
	Target map[string]any `json:"target"`
	// Options are the options of the client.
	Options map[string]any `json:"options"`
	Method  string         `json:"method"`
	// Args may contain values that JSON does not have, as {"$special": NAME}.
	Args json.RawMessage `json:"args"`
	// Only lists the languages that have such a value. If it is empty, all have it.
	Only []string `json:"only"`
	Kind string   `json:"kind"`
	// Safe reports whether the message may be sent again.
	Safe bool `json:"safe"`
	// Path is the location in the arguments or in the result. "*" matches any.
	Path string `json:"path"`
	// Says are texts that the error must contain.
	Says []string `json:"says"`
}

// This client refuses the same messages as the clients in other languages, with equally detailed
// errors.
func TestGoldenBadInput(t *testing.T) {
	t.Parallel()
	addr, _ := goldenServer(t)
	tr, err := oslorpc.Open("static://golden=" + addr + ",golden/node1=" + addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	for _, c := range golden.Load[badInput](t, "badinput.json", "calls") {
		if len(c.Only) > 0 && !slices.Contains(c.Only, "go") {
			continue
		}
		t.Run(c.Case, func(t *testing.T) {
			t.Parallel()
			err := c.send(t, tr)
			var e *oslorpc.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if e.Kind.Name() != c.Kind || oslorpc.SafeToRetry(err) != c.Safe || c.Path != "*" && e.Path != c.Path {
				t.Errorf("got the kind %v, safe %v, at %q: %v", e.Kind, oslorpc.SafeToRetry(err), e.Path, err)
			}
			for _, text := range c.Says {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("the error lacks %q: %v", text, err)
				}
			}
		})
	}
}

// send sends the message, and returns the error.
func (c badInput) send(t *testing.T, tr *oslorpc.Transport) error {
	t.Helper()
	client := tr.Client(oslorpc.Target{Topic: "golden"}, c.clientOptions(t)...)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	decoder := json.NewDecoder(bytes.NewReader(c.Args))
	decoder.UseNumber()
	var plain any
	if err := decoder.Decode(&plain); err != nil {
		t.Fatal(err)
	}
	args := special(plain)
	var err error
	switch c.RPC {
	case "cast":
		err = client.Cast(ctx, c.Method, args)
	case "fanout":
		_, err = client.Fanout(ctx, c.Method, args)
	case "multicall":
		for _, err = range oslorpc.Multicall[any](ctx, client, c.Method, args) {
			if err != nil {
				break
			}
		}
	default:
		_, err = oslorpc.Call[any](ctx, client, c.Method, args)
	}
	return err
}

func (c badInput) clientOptions(t *testing.T) []oslorpc.ClientOption {
	t.Helper()
	var options []oslorpc.ClientOption
	for _, values := range []map[string]any{c.Target, c.Options} {
		for name, value := range values {
			text, _ := value.(string)
			flag, _ := value.(bool)
			option := map[string]oslorpc.ClientOption{
				"topic": oslorpc.WithTopic(text), "server": oslorpc.WithServer(text), "namespace": oslorpc.WithNamespace(text),
				"version": oslorpc.WithVersion(text), "fanout": oslorpc.WithFanout(flag), "order_key": oslorpc.WithOrderKey(text),
				"version_cap": oslorpc.WithVersionCap(text), "fail_fast": oslorpc.WithFailFast(flag),
			}[name]
			if option == nil {
				t.Fatalf("the option %q is not known", name)
			}
			if name == "topic" && value == nil {
				option = oslorpc.WithTopic(oslorpc.None)
			}
			options = append(options, option)
		}
	}
	return options
}

// special returns a value in which {"$special": NAME} is replaced.
func special(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if name, ok := v["$special"].(string); ok {
			return specialValue(name)
		}
		replaced := make(map[string]any, len(v))
		for name, inner := range v {
			replaced[name] = special(inner)
		}
		return replaced
	case []any:
		replaced := make([]any, len(v))
		for i, inner := range v {
			replaced[i] = special(inner)
		}
		return replaced
	}
	if number, ok := v.(json.Number); ok {
		if n, err := number.Int64(); err == nil {
			return n
		}
		n, _ := number.Float64()
		return n
	}
	return v
}

func specialValue(name string) any {
	switch name {
	case "nan":
		return math.NaN()
	case "infinity":
		return math.Inf(1)
	case "not unicode":
		return "a\xff"
	case "function":
		return func() {}
	case "17 MiB":
		return strings.Repeat("x", 17<<20)
	case "cycle":
		cycle := make([]any, 1)
		cycle[0] = cycle
		return cycle
	}
	panic("the value " + name + " is not known")
}
