package httpfront

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// topicDocument is a topic and its servers.
type topicDocument struct {
	Exchange string           `json:"exchange"`
	Topic    string           `json:"topic"`
	Servers  []serverDocument `json:"servers"`
}

// serverDocument is a server as discovery knows it.
type serverDocument struct {
	Server     string            `json:"server"`
	InstanceID string            `json:"instance_id"`
	State      rpc.State         `json:"state"`
	Versions   []versionDocument `json:"versions"`
}

// versionDocument is an interface that a server implements.
type versionDocument struct {
	Namespace string `json:"namespace"`
	Version   string `json:"version"`
}

// topics answers with all topics and servers that the sender may see.
func (f *front) topics(w http.ResponseWriter, r *http.Request) {
	list, err := f.visible(r, func(rpc.Instance) bool { return true })
	if err != nil {
		f.fail(w, err)
		return
	}
	docs := []topicDocument{}
	for _, i := range list {
		if n := len(docs) - 1; n < 0 || docs[n].Exchange != i.Exchange || docs[n].Topic != i.Topic {
			docs = append(docs, topicDocument{Exchange: i.Exchange, Topic: i.Topic})
		}
		last := &docs[len(docs)-1]
		last.Servers = append(last.Servers, documentOf(i))
	}
	f.answer(w, struct {
		Topics []topicDocument `json:"topics"`
	}{docs})
}

// topic answers with the servers of a topic.
func (f *front) topic(w http.ResponseWriter, r *http.Request) {
	list, t, err := f.onTopic(r)
	if err != nil {
		f.fail(w, err)
		return
	}
	doc := topicDocument{Exchange: t.Exchange, Topic: t.Topic, Servers: []serverDocument{}}
	for _, i := range list {
		doc.Servers = append(doc.Servers, documentOf(i))
	}
	f.answer(w, doc)
}

func documentOf(i rpc.Instance) serverDocument {
	return serverDocument{Server: i.Server, InstanceID: i.ID, State: i.State, Versions: versionsOf(i.Implemented)}
}

func versionsOf(list []rpc.Implementation) []versionDocument {
	docs := make([]versionDocument, 0, len(list))
	for _, i := range list {
		docs = append(docs, versionDocument{i.Namespace, i.Version.String()})
	}
	return docs
}

// onTopic returns the instances on the topic of a request that the sender may see. If there is
// none, it returns an error.
func (f *front) onTopic(r *http.Request) ([]rpc.Instance, rpc.Target, error) {
	query, err := f.queryOf(r, "exchange", "namespace", "version")
	if err != nil {
		return nil, rpc.Target{}, err
	}
	t := rpc.Target{Exchange: cmp.Or(query["exchange"], f.Intake.Exchange()), Topic: r.PathValue("topic"), Namespace: query["namespace"], Version: query["version"]}
	list, err := f.visible(r, func(i rpc.Instance) bool { return i.Exchange == t.Exchange && i.Topic == t.Topic })
	if err == nil && len(list) == 0 {
		err = &mistake{status: http.StatusNotFound, title: notFound,
			detail: fmt.Sprintf("no server is on topic %s in exchange %s, or the policy shows you none; GET /v1/topics lists all", t.Topic, t.Exchange)}
	}
	return list, t, err
}

// queryOf returns the query parameters of a GET request. It returns an error for parameters other
// than the known ones.
func (f *front) queryOf(r *http.Request, known ...string) (map[string]string, error) {
	query := map[string]string{}
	for name, values := range r.URL.Query() {
		switch {
		case !slices.Contains(known, name):
			return nil, badRequest("there is no parameter %q here", name)
		case len(values) > 1:
			return nil, badRequest("the parameter %q is given %d times", name, len(values))
		}
		query[name] = values[0]
	}
	return query, nil
}

// visible returns the wanted instances that the sender of a request may see, sorted.
func (f *front) visible(r *http.Request, wanted func(rpc.Instance) bool) ([]rpc.Instance, error) {
	q, err := f.question(r, "List")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), listTimeout)
	defer cancel()
	list, err := f.Intake.List(ctx, q)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(slices.Clone(list), func(i rpc.Instance) bool { return !wanted(i) })
	registry.Sort(list)
	return list, nil
}

// question returns an introspection request on behalf of the sender of an HTTP request.
func (f *front) question(r *http.Request, method string) (*intake.Inspection, error) {
	from, err := f.identify(r)
	if err != nil {
		return nil, err
	}
	return &intake.Inspection{Method: method, Origin: &origin{from: from}, Caller: r.UserAgent()}, nil
}

// answer answers with a value as JSON.
func (f *front) answer(w http.ResponseWriter, v any) {
	b, err := marshal(v)
	if err != nil {
		f.fail(w, err)
		return
	}
	writeJSON(w, b)
}
