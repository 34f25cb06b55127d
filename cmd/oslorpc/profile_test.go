package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

func TestFallbackIsShownLast(t *testing.T) {
	t.Parallel()
	d := newServerDocument(&pb.ServerInfo{Endpoints: []*pb.EndpointInfo{
		{Namespaces: []string{""}, Version: "1.2", Methods: []*pb.MethodInfo{{Name: "stop", Result: "null"}}},
		{Namespaces: []string{"n"}, Version: "2.0", Fallback: &pb.MethodInfo{ExtraArguments: true, Result: "any", Started: 7}},
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
