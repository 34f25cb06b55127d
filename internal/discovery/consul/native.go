package consul

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/oslorpc/oslorpc/internal/connect"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// These are the parameters of a URL for Consul Connect.
const (
	connectParameter = "connect"
	serviceParameter = "service"
	// native is the only value of connectParameter.
	native = "native"
	// intentionsParameter is enforce, the default, or dryRun: then messages that intentions deny
	// are only logged.
	intentionsParameter = "intentions"
	enforce, dryRun     = "enforce", "dry-run"
)

// nativeSettings selects whether the process is a native member of Connect, and under which
// service.
type nativeSettings struct {
	on      bool
	service string
	// intentions is the value of intentionsParameter, empty if it is not given.
	intentions string
}

func (s *nativeSettings) set(name, value string) (err error) {
	switch name {
	case connectParameter:
		s.on, err = isNative(value)
	case serviceParameter:
		s.service, err = value, checkService(value)
	case intentionsParameter:
		s.intentions, err = value, checkIntentions(value)
	}
	return err
}

func isNative(value string) (bool, error) {
	if value != native {
		return false, fmt.Errorf("%q is not known: write %s=%s; a process behind a proxy needs no parameter", value, connectParameter, native)
	}
	return true, nil
}

// checkIntentions returns an error for an unknown value of intentionsParameter.
func checkIntentions(value string) error {
	if value != enforce && value != dryRun {
		return fmt.Errorf("%q is not known: write %s=%s, which is the default, or %s=%s, which logs what would be denied and denies nothing",
			value, intentionsParameter, enforce, intentionsParameter, dryRun)
	}
	return nil
}

// checkService returns an error for a name that no service can have. The name becomes part of a
// SPIFFE ID.
func checkService(name string) error {
	if !isPlainService(name) {
		return fmt.Errorf("%q cannot be the name of a service: use a-z, 0-9 and -, at most 63 of them, with - only within", name)
	}
	return nil
}

func isPlainService(name string) bool {
	return name != "" && len(name) <= 63 && strings.Map(mapRune, name) == name && !strings.HasPrefix(name, "-") && !strings.HasSuffix(name, "-")
}

// check returns an error if a parameter lacks another one that it needs.
func (s *nativeSettings) check() error {
	switch {
	case s.on && s.service == "":
		return fmt.Errorf("%s=%s needs %s=NAME: the service that this program is for the intentions of Consul, when it sends",
			connectParameter, native, serviceParameter)
	case !s.on && s.service != "":
		return fmt.Errorf("%s has no effect without %s=%s", serviceParameter, connectParameter, native)
	case !s.on && s.intentions != "":
		return fmt.Errorf("%s has no effect without %s=%s", intentionsParameter, connectParameter, native)
	default:
		return nil
	}
}

// open returns the process's membership of the mesh, or nil if the process is not a native member.
func (s *nativeSettings) open(c *client, log *slog.Logger) *connect.Native {
	if !s.on {
		return nil
	}
	return connect.New(connect.Config{
		Agent: mesh{c}, Service: s.service, Datacenter: c.dc, ServiceName: serviceName, DryRun: s.intentions == dryRun, Log: log,
	})
}

// Native returns the process's membership of Connect, or nil if there is none; see [connect.Of].
func (r *Registry) Native() *connect.Native { return r.native }

// mesh implements [connect.Agent].
type mesh struct{ *client }

// Roots implements [connect.Agent].
func (m mesh) Roots(ctx context.Context, index uint64) (roots connect.Roots, next uint64, err error) {
	err = m.await(ctx, "reading the authorities of Connect", index, func(by *api.Client, q *api.QueryOptions) error {
		list, meta, err := by.Agent().ConnectCARoots(q)
		if err != nil {
			return err
		}
		roots.TrustDomain, next = list.TrustDomain, meta.LastIndex
		for _, root := range list.Roots {
			if root != nil {
				roots.Certificates = append(roots.Certificates, root.RootCertPEM)
			}
		}
		return nil
	})
	return roots, next, err
}

// Leaf implements [connect.Agent].
func (m mesh) Leaf(ctx context.Context, service string, index uint64) (leaf connect.Leaf, next uint64, err error) {
	err = m.await(ctx, "getting the certificate of service "+service, index, func(by *api.Client, q *api.QueryOptions) error {
		got, meta, err := by.Agent().ConnectCALeaf(service, q)
		if err != nil {
			return err
		}
		leaf, next = connect.Leaf{Certificate: got.CertPEM, Key: got.PrivateKeyPEM}, meta.LastIndex
		return nil
	})
	if code(err) == http.StatusForbidden {
		err = failure.With(err, func(e *rpc.Error) { e.Message += ": it needs the policy write for service " + service })
	}
	return leaf, next, err
}

// await makes a query. If index is not 0, Consul answers it when there is a newer result than the
// one with that index.
func (m mesh) await(ctx context.Context, doing string, index uint64, query func(*api.Client, *api.QueryOptions) error) error {
	var err error
	if index == 0 {
		err = m.do(ctx, doing, func(q *api.QueryOptions) error { return query(m.api, q) })
	} else {
		err = m.wait(ctx, doing, index, func(q *api.QueryOptions) error {
			q.Datacenter, q.AllowStale = "", false // the agent answers
			return query(m.waiting, q)
		})
	}
	return refusing(err)
}

// refusing changes the kind of an error to Invalid if the agent refused the request because of its
// configuration or the token. Another attempt does not help until an operator corrects that.
func refusing(err error) error {
	refused := code(err) == http.StatusForbidden || code(err) == http.StatusUnauthorized || errors.Is(err, errToken) ||
		err != nil && strings.Contains(err.Error(), "Connect must be enabled")
	if !refused {
		return err
	}
	return failure.With(err, func(e *rpc.Error) { e.Kind = rpc.Invalid })
}

// Authorize implements [connect.Agent].
func (m mesh) Authorize(ctx context.Context, service, uri, serial string) (allowed bool, reason string, err error) {
	var verdict api.AgentAuthorize
	err = m.do(ctx, "asking about the intentions for service "+service, func(q *api.QueryOptions) error { //nolint:contextcheck // It is in q.
		return m.post(q.Context(), "/v1/agent/connect/authorize", api.AgentAuthorizeParams{
			Target: service, ClientCertURI: uri, ClientCertSerial: serial,
		}, &verdict)
	})
	return verdict.Authorized, verdict.Reason, err
}

// maxProblem bounds the text of an error from the agent, in bytes.
const maxProblem = 1 << 10

// post sends a request that package api cannot send with a ctx.
func (m mesh) post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, m.guard.scheme+"://"+m.agents.addrs[0]+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := m.reads.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	defer drain(answer.Body)
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, maxProblem))
		return api.StatusError{Code: answer.StatusCode, Body: string(bytes.TrimSpace(text))}
	}
	return json.NewDecoder(answer.Body).Decode(out)
}
