package consul

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// failure returns the error of a request. Its text has doing, which describes the request, what
// went wrong, and what to do. Ctx is the context of the request.
func (c *client) failure(ctx context.Context, doing string, err error) error {
	kind, what := rpc.Unreachable, err
	if cause := context.Cause(ctx); cause != nil {
		what = cause
	} else if of, ok := errors.AsType[*url.Error](err); ok {
		what = of.Err
	}
	what = c.withoutAddress(what)
	if errors.Is(what, context.DeadlineExceeded) {
		what = errNoAnswer
	}
	switch {
	case errors.Is(what, context.Canceled):
		kind = rpc.Canceled
	case code(err) == http.StatusBadRequest:
		kind = rpc.Invalid
	}
	return &rpc.Error{
		Kind: kind, NotStarted: true, Cause: err,
		Message: fmt.Sprintf("Consul at %s: %s: %s%s", c.addr, doing, describe(what), advice(what)),
	}
}

// describe returns the text of an error. For an unsuccessful answer, the text has the HTTP status
// and the body, unless that is a web page of another program.
func describe(err error) string {
	status, ok := errors.AsType[api.StatusError](err)
	if !ok {
		return err.Error()
	}
	what := fmt.Sprintf("it answers %d %s", status.Code, http.StatusText(status.Code))
	if why := strings.Join(strings.Fields(status.Body), " "); why != "" && !isPage(status) {
		return what + ": " + strings.ToValidUTF8(why[:min(len(why), maxWhy)], "")
	}
	return what
}

// maxWhy limits how much of an answer an error shows.
const maxWhy = 512

// isPage reports whether an answer is a page for browsers, which no agent sends.
func isPage(status api.StatusError) bool {
	return strings.HasPrefix(strings.TrimSpace(status.Body), "<")
}

// withoutAddress strips the address from a connection error, because the message has it already.
func (c *client) withoutAddress(err error) error {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return errors.New(failure.Dialing(err))
	}
	of, ok := errors.AsType[*net.OpError](err)
	if !ok || of.Op != "dial" || of.Addr == nil || of.Addr.String() != c.addr {
		return err
	}
	return errors.New(failure.Dialing(of))
}

func advice(err error) string {
	if errors.Is(err, errToken) || errors.Is(err, errHidden) || errors.Is(err, context.Canceled) {
		return ""
	}
	switch code(err) {
	case 0:
		return connectAdvice(err)
	case http.StatusBadRequest:
		if strings.Contains(err.Error(), "HTTPS") {
			return ": the URL needs consul-tls=true"
		}
		return ""
	case http.StatusUnauthorized, http.StatusForbidden:
		return ": give a token with the policy that docs/discovery.md has for such a program, in the URL's consul-token-file or in CONSUL_HTTP_TOKEN"
	case http.StatusTooManyRequests:
		return ": the programs of this host have all connections that the agent allows one address: raise the agent's " +
			"limits.http_max_conns_per_client, or run fewer programs here"
	}
	return answerAdvice(err)
}

// answerAdvice returns the advice for an answer with an HTTP status other than those that advice
// handles.
func answerAdvice(err error) string {
	status, _ := errors.AsType[api.StatusError](err)
	switch {
	case status.Code == http.StatusNotFound, isPage(status):
		return ": another program may have the address: check that a Consul agent answers there"
	case strings.Contains(status.Body, "No cluster leader"):
		return ": the Consul servers have lost their leader: look at their logs, and at consul operator raft list-peers"
	case status.Code >= http.StatusInternalServerError:
		return ": look at the log of the agent"
	default:
		return ""
	}
}

// errNull means that the answer is null where Consul would send a list, even an empty one. So
// another program than Consul answered.
var errNull = errors.New("the answer is null, which Consul does not send")

// code returns the HTTP status of the answer, or 0 if there was none.
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

// connectAdvice returns the advice for a request without an answer.
func connectAdvice(err error) string {
	if strings.Contains(err.Error(), "remote error: tls:") { // the type is not exported
		return ": the agent refused the connection: give a client certificate of an authority that it trusts, " +
			"with consul-cert and consul-key in the URL, or in CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return ": give the name in the agent's certificate with consul-server-name in the URL, or in CONSUL_TLS_SERVER_NAME"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return ": if the agent is the right one, name its authorities with consul-ca in the URL, or in CONSUL_CACERT"
	}
	if strings.Contains(err.Error(), "HTTP response to HTTPS client") {
		return ": the agent answers there without TLS: leave out consul-tls and the like, or name its HTTPS port"
	}
	return ": check that a Consul agent answers there"
}
