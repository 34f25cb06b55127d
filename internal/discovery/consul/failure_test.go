package consul

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// What an agent, or another program in its place, answers is said in plain words, with what to do.
func TestAnswersThatAreNoSuccess(t *testing.T) {
	t.Parallel()
	c := &client{addr: "h:1"}
	for want, err := range map[string]error{
		"it answers 500 Internal Server Error: No cluster leader: the Consul servers have lost their leader: look at their logs, and at consul operator raft list-peers": api.StatusError{
			Code: http.StatusInternalServerError, Body: "No cluster leader",
		},
		"it answers 500 Internal Server Error: rpc error making call: EOF: look at the log of the agent": api.StatusError{
			Code: http.StatusInternalServerError, Body: "rpc error making call: EOF\n",
		},
		"it answers 404 Not Found: another program may have the address: check that a Consul agent answers there": api.StatusError{
			Code: http.StatusNotFound, Body: "<!DOCTYPE HTML>\n<html lang=\"en\">",
		},
		"it answers 502 Bad Gateway: another program may have the address: check that a Consul agent answers there": api.StatusError{
			Code: http.StatusBadGateway, Body: " <html>\r\n<head><title>502 Bad Gateway</title></head>",
		},
		"it answers 403 Forbidden: Permission denied: give a token with the policy that docs/discovery.md has for such a program, " +
			"in the URL's consul-token-file or in CONSUL_HTTP_TOKEN": api.StatusError{Code: http.StatusForbidden, Body: "Permission denied"},
		"something: check that a Consul agent answers there": &url.Error{Op: "Get", URL: "http://h:1/v1", Err: errors.New("something")},
	} {
		got := c.failure(t.Context(), "listing services", fmt.Errorf("wrapped: %w", err))
		e, _ := errors.AsType[*rpc.Error](got)
		if want = "Consul at h:1: listing services: " + want; e == nil || e.Kind != rpc.Unreachable || e.Message != want {
			t.Errorf("got  %v\nwant %s", got, want)
		}
	}
	long := c.failure(t.Context(), "x", api.StatusError{Code: http.StatusInternalServerError, Body: strings.Repeat("long ", 1000)})
	if len(long.Error()) > 1000 {
		t.Errorf("it has %d bytes", len(long.Error()))
	}
}
