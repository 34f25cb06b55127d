package httpfront

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/introspection"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

const (
	// listTimeout bounds requests to discovery. AskTimeout bounds requests to the servers of a
	// topic.
	listTimeout = 10 * time.Second
	askTimeout  = 5 * time.Second
	// maxAsked bounds how many servers are asked for their endpoints. Servers that implement the
	// same interfaces are asked only once.
	maxAsked = 16
)

// openapi answers with the OpenAPI document of an interface of a topic. The document is made from
// the servers' introspection.
func (f *front) openapi(w http.ResponseWriter, r *http.Request) {
	list, target, err := f.onTopic(r)
	if err != nil {
		f.fail(w, err)
		return
	}
	wanted := rpc.Version{}
	if target.Version != "" {
		if wanted, err = rpc.ParseVersion(target.Version); err != nil {
			f.fail(w, badRequest("version=%s: %v", target.Version, err))
			return
		}
	}
	offered, err := f.offered(r, list)
	if err != nil {
		f.fail(w, err)
		return
	}
	e := newest(offered, target.Namespace, wanted)
	if e == nil {
		f.fail(w, &mistake{status: http.StatusNotFound, title: notFound, detail: fmt.Sprintf(
			"no server on topic %s has an interface in %s%s that takes JSON; they have %s", target.Topic, inNamespace(target.Namespace), atVersion(wanted), interfacesOf(offered))})
		return
	}
	f.answer(w, newDocument(target, e, offered))
}

// offered returns the endpoints of the servers. It asks one server for each set of interfaces.
func (f *front) offered(r *http.Request, list []rpc.Instance) ([]rpc.EndpointInfo, error) {
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	asked := distinct(list)
	endpoints, failures := make([][]rpc.EndpointInfo, len(asked)), make([]error, len(asked))
	var asking sync.WaitGroup
	for n, i := range asked {
		q, err := f.question(r, "GetInfo")
		if err != nil {
			return nil, err
		}
		q.InstanceID = i.ID
		asking.Go(func() { endpoints[n], failures[n] = f.ask(ctx, q) })
	}
	asking.Wait()
	if all := slices.Concat(endpoints...); len(all) > 0 {
		return all, nil
	}
	return nil, cmp.Or(failures...)
}

// ask returns the endpoints of an instance.
func (f *front) ask(ctx context.Context, q *intake.Inspection) (endpoints []rpc.EndpointInfo, err error) {
	m, err := f.Intake.Info(ctx, q)
	if err != nil {
		return nil, err
	}
	said, ok := m.(*pb.GetInfoResponse)
	if !ok {
		return nil, nil // the gateway itself, which has no methods
	}
	for _, s := range introspection.Decode(said).Servers {
		if s.InstanceID == q.InstanceID {
			endpoints = append(endpoints, s.Endpoints...)
		}
	}
	return endpoints, nil
}

// distinct returns at most maxAsked instances, one for each list of implemented interfaces.
func distinct(list []rpc.Instance) (some []rpc.Instance) {
	for _, i := range list {
		same := func(j rpc.Instance) bool { return slices.Equal(i.Implemented, j.Implemented) }
		if !slices.ContainsFunc(some, same) && len(some) < maxAsked {
			some = append(some, i)
		}
	}
	return some
}

// newest returns the endpoint of a namespace with the highest version that can serve the wanted
// version, or with the highest version if wanted is zero. It skips typed services, which do not
// accept JSON. It returns nil if there is none.
func newest(endpoints []rpc.EndpointInfo, namespace string, wanted rpc.Version) (best *rpc.EndpointInfo) {
	for n := range endpoints {
		e := &endpoints[n]
		fits := wanted == rpc.Version{} || e.Version.Serves(wanted)
		if e.Service == "" && slices.Contains(e.Namespaces, namespace) && fits && (best == nil || best.Version.Compare(e.Version) < 0) {
			best = e
		}
	}
	return best
}

func inNamespace(name string) string {
	if name == "" {
		return "the default namespace"
	}
	return "namespace " + name
}

func atVersion(v rpc.Version) string {
	if v == (rpc.Version{}) {
		return ""
	}
	return " at version " + v.String()
}

// interfacesOf lists the interfaces that endpoints offer, for error texts.
func interfacesOf(endpoints []rpc.EndpointInfo) string {
	seen := map[string]bool{}
	for _, e := range endpoints {
		for _, namespace := range e.Namespaces {
			text := inNamespace(namespace) + " at " + e.Version.String()
			if e.Service != "" {
				text = "the typed service " + e.Service
			}
			seen[text] = true
		}
	}
	return strings.ReplaceAll(names(seen), ", ", "; ")
}
