package look

import (
	"github.com/oslorpc/oslorpc/pkg/rpc"

	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestFallbackIsShownLast(t *testing.T) {
	t.Parallel()
	d := newServerDocument(rpc.ServerInfo{Endpoints: []rpc.EndpointInfo{
		{Namespaces: []string{""}, Version: rpc.Version{Major: 1, Minor: 2}, Methods: []rpc.MethodInfo{{Name: "stop", Result: "null"}}},
		{Namespaces: []string{"n"}, Version: rpc.Version{Major: 2, Minor: 0}, Fallback: &rpc.MethodInfo{ExtraArguments: true, Result: "any", Started: 7}},
	}})
	if d.Endpoints[0].Fallback != nil {
		t.Error("an endpoint without a fallback shows one")
	}
	var text bytes.Buffer
	for _, e := range d.Endpoints {
		e.write(&text)
	}
	want := []string{
		"version 1.2", "METHOD RESULT STARTED FAILED", "stop() null 0 0",
		"version 2.0, namespace n", "METHOD RESULT STARTED FAILED", "*(...) any 7 0",
	}
	var got []string
	for line := range strings.Lines(text.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhatIsDeprecatedIsMarked(t *testing.T) {
	t.Parallel()
	d := newServerDocument(rpc.ServerInfo{Endpoints: []rpc.EndpointInfo{{
		Namespaces: []string{"old"}, Version: rpc.Version{Major: 1, Minor: 4}, DeprecatedSince: rpc.Version{Major: 1, Minor: 4},
		Methods: []rpc.MethodInfo{
			{Name: "get", Result: "null", Since: rpc.Version{Major: 1, Minor: 1}, DeprecatedSince: rpc.Version{Major: 1, Minor: 3}}, {Name: "list", Result: "null", Since: rpc.Version{Major: 1, Minor: 2}},
		},
	}}})
	var text bytes.Buffer
	d.Endpoints[0].write(&text)
	for _, part := range []string{"namespace old, deprecated since 1.4\n", "get(), deprecated since 1.3 ", "list()  "} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("no %q in\n%s", part, text.String())
		}
	}
	if m := d.Endpoints[0].Methods[0]; m.Since != "1.1" || m.Deprecated != "1.3" {
		t.Errorf("the document has %+v", m)
	}
}
