package oslorpc

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/oslorpc/oslorpc/internal/delivery"
)

// Report says what came of a fanout. Each server that was listed when it was sent is in one of the
// lists, which are in the order of the servers' names. A server that left meanwhile is in no list.
// Neither is a server at whose address nothing listens while another process has its name: it was
// replaced.
type Report struct {
	// Accepted are the servers that took the message.
	Accepted []Delivery
	// Skipped are those that drain, and those whose version, or lack of the method, does not let them run it.
	Skipped []Delivery
	// Failed are those that did not take it for another reason.
	Failed []Delivery
	// Uncertain is why the list of servers may be out of date. It is nil if discovery could be read
	// when the list was made. Else, servers that came after the last read did not get the message.
	Uncertain error
}

// Delivery is what came of a fanout at one server.
type Delivery struct {
	// Instance is the server.
	Instance Instance
	// Unlisted is true if discovery no longer lists the server. The message was sent to it all the
	// same, because its connection is up, or discovery lost its data.
	Unlisted bool
	// Err is nil if the message was accepted. [SafeToRetry] tells whether it may have been all the same.
	Err error
}

// Err returns the errors of the servers that failed, joined; nil if there are none. Skipped
// servers are not failures, and an uncertain list is not a failure: all known servers may have
// accepted the message. Check Uncertain as well if every server must get it.
func (r *Report) Err() error {
	var all []error
	for _, d := range r.Failed {
		all = append(all, d.Err)
	}
	return errors.Join(all...)
}

// Fanout has every server on the topic run a method, without waiting for it: it returns when each
// has accepted the message, or did not. The server in the client's target is ignored. If no server
// is on the topic, the report is empty and the error is nil. If no server is known because
// discovery cannot be read, the error is of kind [Unreachable]. An error means that the message
// was sent to no server.
//
// The deadline is the earlier of that of ctx and of [WithTimeout], or [DefaultCastTimeout].
func (c *Client) Fanout(ctx context.Context, method string, args any) (*Report, error) {
	m, err := c.message(ctx, method, args)
	if err != nil {
		return nil, err
	}
	m.toEverybody()
	ctx, cancel := c.deadline(ctx, DefaultCastTimeout)
	defer cancel()
	audience, err := delivery.AudienceOf(ctx, c.watched(), c.delivery(&m))
	if err != nil {
		return nil, err
	}
	return newReport(ctx, audience, m.cast), nil
}

// newReport sends to an audience, and reports on it.
func newReport(ctx context.Context, audience *delivery.Audience, send delivery.Send) *Report {
	r := &Report{Uncertain: audience.Uncertain}
	for _, result := range delivery.All(ctx, audience, send) {
		d := Delivery{Instance: result.Entry.Instance, Unlisted: result.Entry.Unlisted, Err: result.Err}
		switch {
		case result.Err == nil:
			r.Accepted = append(r.Accepted, d)
		case result.Skipped:
			r.Skipped = append(r.Skipped, d)
		default:
			r.Failed = append(r.Failed, d)
		}
	}
	for _, list := range [][]Delivery{r.Accepted, r.Skipped, r.Failed} {
		slices.SortFunc(list, func(a, b Delivery) int { return byServer(a.Instance, b.Instance) })
	}
	return r
}

// byServer orders instances of a topic.
func byServer(a, b Instance) int {
	return cmp.Or(strings.Compare(a.Server, b.Server), strings.Compare(a.ID, b.ID))
}
