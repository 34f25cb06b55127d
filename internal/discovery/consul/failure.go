package consul

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// failure returns the error of a request: what was being done, what went wrong, and what to do. ctx
// is the request's.
func (c *client) failure(ctx context.Context, doing string, err error) error {
	kind, what := rpc.Unreachable, err
	if cause := context.Cause(ctx); cause != nil {
		what = cause
	} else if of, ok := errors.AsType[*url.Error](err); ok {
		what = of.Err
	}
	switch {
	case errors.Is(what, context.Canceled):
		kind = rpc.Canceled
	case code(err) == http.StatusBadRequest:
		kind = rpc.Invalid
	}
	return &rpc.Error{
		Kind: kind, NotStarted: true, Cause: err,
		Message: fmt.Sprintf("Consul at %s: %s: %v%s", c.addr, doing, what, advice(what)),
	}
}

func advice(err error) string {
	if errors.Is(err, errToken) || errors.Is(err, errHidden) || errors.Is(err, context.Canceled) {
		return ""
	}
	switch code(err) {
	case 0:
		return ": check that a Consul agent answers there"
	case http.StatusBadRequest:
		if strings.Contains(err.Error(), "HTTPS") {
			return ": the URL needs tls=true"
		}
		return ""
	case http.StatusUnauthorized, http.StatusForbidden:
		return ": give a token with the policy that docs/discovery.md has for such a program, in the URL's token-file or in CONSUL_HTTP_TOKEN"
	case http.StatusTooManyRequests:
		return ": the programs of this host have all connections that the agent allows one address: raise the agent's " +
			"limits.http_max_conns_per_client, or run fewer programs here"
	default:
		return ""
	}
}

// errNull means that the answer is null where Consul has a list, if an empty one: something else
// answers, and knows nothing.
var errNull = errors.New("the answer is null, which Consul does not send")

// code returns the status of the answer; 0 if there was none.
func code(err error) int {
	if status, ok := errors.AsType[api.StatusError](err); ok {
		return status.Code
	}
	return 0
}

func unless404(err error) error {
	if code(err) == http.StatusNotFound {
		return nil
	}
	return err
}

func invalid(format string, args ...any) error {
	return &rpc.Error{Kind: rpc.Invalid, NotStarted: true, Message: fmt.Sprintf(format, args...)}
}
