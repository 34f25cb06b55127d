package httpfront

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// delivery describes how requests of one delivery, such as call or fanout, are answered.
type delivery struct {
	// toAll is true if every server gets a copy.
	toAll bool
	// timeout applies to requests without the parameter timeout; 0 means that there is no bound.
	timeout time.Duration
	answer  func(*exchange) error
}

// deliveries are the ways of delivery, by their names in paths.
var deliveries = map[rpc.Delivery]*delivery{
	rpc.DeliveryCall:      {timeout: callTimeout, answer: (*exchange).call},
	rpc.DeliveryCast:      {timeout: castTimeout, answer: (*exchange).cast},
	rpc.DeliveryFanout:    {timeout: castTimeout, toAll: true, answer: (*exchange).fanout},
	rpc.DeliveryGather:    {timeout: callTimeout, toAll: true, answer: (*exchange).gather},
	rpc.DeliveryMulticall: {answer: (*exchange).multicall},
}

const (
	// callTimeout equals oslo.messaging's rpc_response_timeout.
	callTimeout = 60 * time.Second
	// castTimeout is how long a cast or a fanout may take until servers accept the message.
	castTimeout = 30 * time.Second
)

// exchange is one request and its response.
type exchange struct {
	*message

	front   *front
	ctx     context.Context //nolint:containedctx // It is the context of the request.
	w       http.ResponseWriter
	request *http.Request
}

// deliver sends the message of a request, and answers with the outcome.
func (f *front) deliver(w http.ResponseWriter, r *http.Request, d *delivery) {
	if f.stopping.Load() {
		f.fail(w, errStopping())
		return
	}
	begun := time.Now()
	e, err := f.prepare(w, r, d)
	if err == nil {
		err = d.answer(e)
	}
	if err != nil {
		f.fail(w, waited(begun, err))
	}
}

// waited adds the time since begun to the error of a message that timed out, as clients do.
func waited(begun time.Time, err error) error {
	if !errors.Is(err, context.DeadlineExceeded) || rpc.KindOf(err) == rpc.MonitorTimeout {
		return err
	}
	return failure.With(err, func(e *rpc.Error) { e.Waited = time.Since(begun) })
}

// prepare parses a request.
func (f *front) prepare(w http.ResponseWriter, r *http.Request, d *delivery) (*exchange, error) {
	from, err := f.identify(r)
	if err != nil {
		return nil, err
	}
	m, err := f.read(w, r)
	if err != nil {
		return nil, failure.Name(err, m.Target, m.Method)
	}
	if m.Target.Server != "" && d.toAll {
		return nil, badRequest("a message for all servers cannot name one: leave the parameter server out, or use call or cast")
	}
	m.Origin = &origin{from, m.metadata}
	if m.timeout == 0 {
		m.timeout = d.timeout
	}
	if m.timeout > 0 {
		m.Remaining = &m.timeout
	}
	return &exchange{message: m, front: f, ctx: r.Context(), w: w, request: r}, nil
}

// origin says where a message came from.
type origin struct {
	from     rpc.Peer
	metadata rpc.Metadata
}

// Metadata implements [dispatch.Origin].
func (o *origin) Metadata() rpc.Metadata { return o.metadata }

// Peer implements [dispatch.Origin].
func (o *origin) Peer() rpc.Peer { return o.from }

// call answers with the bare result.
func (e *exchange) call() error {
	result, err := e.front.Intake.Call(e.ctx, &e.Message)
	if err != nil {
		return err
	}
	writeJSON(e.w, []byte(result))
	return nil
}

// cast answers with 202 once a server accepted the message.
func (e *exchange) cast() error {
	if err := e.front.Intake.Cast(e.ctx, &e.Message); err != nil {
		return err
	}
	e.w.WriteHeader(http.StatusAccepted)
	return nil
}

// report is the body of the response to a fanout.
type report struct {
	// Accepted has the names of the servers that accepted the message. Failed has the other
	// servers.
	Accepted []string `json:"accepted"`
	Failed   []reply  `json:"failed"`
}

// fanout answers with the outcome at each server.
func (e *exchange) fanout() error {
	r := report{Accepted: []string{}, Failed: []reply{}}
	err := e.front.Intake.Fanout(e.ctx, &e.Message, func(c intake.Copy) error {
		if c.Err == nil {
			r.Accepted = append(r.Accepted, c.Instance.Server)
		} else {
			r.Failed = append(r.Failed, replyOf(c))
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.Sort(r.Accepted)
	slices.SortFunc(r.Failed, byServer)
	return e.document(r)
}

func byServer(a, b reply) int { return strings.Compare(a.Server, b.Server) }

// document answers with a value as JSON.
func (e *exchange) document(v any) error {
	b, err := marshal(v)
	if err != nil {
		return err
	}
	writeJSON(e.w, b)
	return nil
}

// reply is one server's answer to a message for all servers.
type reply struct {
	Server string          `json:"server"`
	Result json.RawMessage `json:"result,omitempty"`
	// Skipped is true if the message was not meant for the server, because it drains or cannot
	// serve the message.
	Skipped bool     `json:"skipped,omitempty"`
	Error   *problem `json:"error,omitempty"`
}

func replyOf(c intake.Copy) reply {
	if c.Err != nil {
		return reply{Server: c.Instance.Server, Skipped: c.Skipped, Error: problemOf(c.Err)}
	}
	return reply{Server: c.Instance.Server, Result: json.RawMessage(c.Result)}
}

// gather answers with one document of all replies, or with a stream of replies if the client asks
// for a stream.
func (e *exchange) gather() error {
	s := e.stream(false)
	replies := []reply{}
	count := 0
	err := e.front.Intake.Gather(e.ctx, &e.Message, func(c intake.Copy) error {
		count++
		if s != nil {
			return s.value("reply", replyOf(c))
		}
		replies = append(replies, replyOf(c))
		return nil
	})
	if s != nil {
		return s.end(err, ending{Replies: &count})
	}
	if err != nil {
		return err
	}
	slices.SortFunc(replies, byServer)
	return e.document(struct {
		Replies []reply `json:"replies"`
	}{replies})
}

// multicall answers with a stream of items.
func (e *exchange) multicall() error {
	s := e.stream(true)
	items := 0
	err := e.front.Intake.Multicall(e.ctx, &e.Message, func(item string) error {
		items++
		return s.item(item)
	})
	return s.end(err, ending{Items: &items})
}
