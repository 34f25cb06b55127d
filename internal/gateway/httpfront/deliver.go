package httpfront

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"

	"google.golang.org/grpc/metadata"

	"github.com/oslorpc/oslorpc/internal/client"
	"github.com/oslorpc/oslorpc/internal/gate"
	"github.com/oslorpc/oslorpc/internal/msgcontext"
	"github.com/oslorpc/oslorpc/internal/payload"
	"github.com/oslorpc/oslorpc/internal/policy"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// delivery is a way to deliver messages.
type delivery struct {
	as rpc.Delivery
	// toAll: every server gets a copy.
	toAll  bool
	answer func(*exchange) error
}

// deliveries have the names that they have in paths.
var deliveries = map[rpc.Delivery]*delivery{
	rpc.DeliveryCall:      {as: rpc.DeliveryCall, answer: (*exchange).call},
	rpc.DeliveryCast:      {as: rpc.DeliveryCast, answer: (*exchange).cast},
	rpc.DeliveryFanout:    {as: rpc.DeliveryCast, toAll: true, answer: (*exchange).fanout},
	rpc.DeliveryGather:    {as: rpc.DeliveryCall, toAll: true, answer: (*exchange).gather},
	rpc.DeliveryMulticall: {as: rpc.DeliveryMulticall, answer: (*exchange).multicall},
}

// exchange is a request that is answered.
type exchange struct {
	*message

	front   *front
	ctx     context.Context //nolint:containedctx // It is the context of the request.
	client  *client.Client
	w       http.ResponseWriter
	request *http.Request
}

// deliver sends the message of a request, and answers with what came of it.
func (f *front) deliver(w http.ResponseWriter, r *http.Request, d *delivery) {
	if f.stopping.Load() {
		f.fail(w, errStopping())
		return
	}
	e, err := f.prepare(w, r, d)
	if err == nil {
		err = d.answer(e)
	}
	if err != nil {
		f.fail(w, err)
	}
}

// prepare reads a request and asks the gate about it.
func (f *front) prepare(w http.ResponseWriter, r *http.Request, d *delivery) (*exchange, error) {
	from, err := f.identify(r)
	if err != nil {
		return nil, err
	}
	m, err := f.read(w, r)
	if err != nil {
		return nil, err
	}
	target := &m.settings.Target
	if target.Server != "" && d.toAll {
		return nil, badRequest("a message for all servers cannot name one: leave the parameter server out, or use call or cast")
	}
	target.Fanout = d.toAll
	err = f.Gate.Enter(r.Context(), &gate.Caller{Peer: from, Claimed: r.UserAgent()}, &policy.Query{
		Exchange: target.Exchange, Topic: target.Topic, Namespace: target.Namespace, Server: target.Server, Method: m.method, Delivery: d.as,
	})
	if err != nil {
		return nil, err
	}
	ctx := metadata.NewOutgoingContext(msgcontext.Arrived(r.Context(), m.context), m.metadata)
	if f.Outgoing != nil {
		ctx = f.Outgoing(ctx, from)
	}
	return &exchange{message: m, front: f, ctx: ctx, client: f.Transport.Client(m.settings), w: w, request: r}, nil
}

// call answers with the bare result.
func (e *exchange) call() error {
	var result payload.Raw
	if err := e.client.Call(e.ctx, e.method, e.kwargs, &result); err != nil {
		return err
	}
	writeJSON(e.w, []byte(cmp.Or(result, "null")))
	return nil
}

// cast answers with 202 once a server accepted the message.
func (e *exchange) cast() error {
	if err := e.client.Cast(e.ctx, e.method, e.kwargs); err != nil {
		return err
	}
	e.w.WriteHeader(http.StatusAccepted)
	return nil
}

// report is what came of a fanout.
type report struct {
	// Accepted are the names of the servers that accepted the message.
	Accepted []string `json:"accepted"`
	// Skipped are servers that cannot take it or drain, and Failed are servers that did not take it.
	Skipped []reply `json:"skipped"`
	Failed  []reply `json:"failed"`
	// Uncertain is why there may be other servers.
	Uncertain string `json:"uncertain,omitempty"`
}

// fanout answers with what each server said.
func (e *exchange) fanout() error {
	r, err := e.client.Fanout(e.ctx, e.method, e.kwargs)
	if err != nil {
		return err
	}
	doc := report{Accepted: make([]string, 0, len(r.Accepted)), Skipped: failures(r.Skipped), Failed: failures(r.Failed), Uncertain: textOf(r.Uncertain)}
	for _, c := range r.Accepted {
		doc.Accepted = append(doc.Accepted, c.Instance.Server)
	}
	return e.document(doc)
}

func failures(copies []client.Copy) []reply {
	list := make([]reply, 0, len(copies))
	for _, c := range copies {
		list = append(list, reply{Server: c.Instance.Server, Unlisted: c.Unlisted, Error: problemOf(c.Err)})
	}
	return list
}

// document answers with a value as JSON.
func (e *exchange) document(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	writeJSON(e.w, b)
	return nil
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// reply is what one server answered to a message for all.
type reply struct {
	Server string `json:"server"`
	// Unlisted is true if discovery no longer lists the server.
	Unlisted bool `json:"unlisted,omitempty"`
	// Skipped is true if the server was not asked: it drains, or its version is too old.
	Skipped bool            `json:"skipped,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *problem        `json:"error,omitempty"`
}

// gather answers with a document of all replies, or with a stream of them if the client asks for
// one.
func (e *exchange) gather() error {
	s := e.stream(false)
	all := replies{List: []reply{}}
	how := client.Gathering{Each: func(a *client.Answer) bool {
		r := replyOf(a)
		all.Expected, all.Uncertain = a.Expected, textOf(a.Uncertain)
		if s == nil {
			all.List = append(all.List, r)
			return true
		}
		return s.value("reply", r) == nil
	}}
	err := e.client.Gather(e.ctx, e.method, e.kwargs, how)
	if s != nil {
		return s.end(err, ending{Replies: &all.Expected, Uncertain: all.Uncertain})
	}
	if err != nil {
		return err
	}
	return e.document(all)
}

// replies is what came of a gather.
type replies struct {
	List []reply `json:"replies"`
	// Expected is how many servers there are.
	Expected  int    `json:"expected"`
	Uncertain string `json:"uncertain,omitempty"`
}

func replyOf(a *client.Answer) reply {
	r := reply{Server: a.Instance.Server, Unlisted: a.Unlisted, Skipped: a.Skipped}
	var result payload.Raw
	if err := a.Read(&result); err != nil {
		r.Error = problemOf(err)
	} else {
		r.Result = json.RawMessage(cmp.Or(result, "null"))
	}
	return r
}

// multicall answers with a stream of items.
func (e *exchange) multicall() error {
	s := e.stream(true)
	items := 0
	err := e.client.Multicall(e.ctx, e.method, e.kwargs, func(read client.Read) (bool, error) {
		var item payload.Raw
		if err := read(&item); err != nil {
			return false, err
		}
		items++
		return s.item(cmp.Or(item, "null")) == nil, nil
	})
	return s.end(err, ending{Items: &items})
}
