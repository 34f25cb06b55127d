package oslorpc

import (
	"context"
	"errors"

	"github.com/oslorpc/oslorpc/internal/client"
)

// Report says what came of a fanout. Each server that was listed when it was sent is in one of the
// lists, which are in the order of the servers' names. A server that left meanwhile is in no list.
// Neither is a server at whose address nothing listens while another process has its name: it was
// replaced.
type Report struct {
	// Accepted are the servers that took the message.
	Accepted []FanoutResult
	// Skipped are servers that drain, and servers whose version, or lack of the method, does not
	// let them run it.
	Skipped []FanoutResult
	// Failed are servers that did not take it for another reason.
	Failed []FanoutResult
	// Uncertain is why the list of servers may be out of date. It is nil if discovery could be read
	// when the list was made. Else, servers that came after the last read did not get the message.
	Uncertain error
}

// FanoutResult is what came of a fanout at one server.
type FanoutResult struct {
	// Instance is the server.
	Instance Instance
	// Unlisted is true if discovery no longer lists the server. The message was sent to it all the
	// same, because its connection is up, or discovery lost its data.
	Unlisted bool
	// Err is nil if the message was accepted. [SafeToRetry] tells whether it may have been all the
	// same.
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
// discovery cannot be read, the error is of kind [Unreachable]. If all servers denied the message,
// the error is of kind [AccessDenied], and there is a report as well. Any other error means that
// the message was sent to no server, and comes without a report.
//
// The deadline is the earlier of the deadline of ctx and [WithTimeout], or [DefaultCastTimeout].
func (c *Client) Fanout(ctx context.Context, method string, args any) (*Report, error) {
	report, err := c.engine.Fanout(ctx, method, arguments(args))
	if report == nil {
		return nil, err
	}
	return newReport(report), err
}

func newReport(r *client.Report) *Report {
	return &Report{Accepted: fanoutResults(r.Accepted), Skipped: fanoutResults(r.Skipped), Failed: fanoutResults(r.Failed), Uncertain: r.Uncertain}
}

func fanoutResults(copies []client.Copy) []FanoutResult {
	if len(copies) == 0 {
		return nil
	}
	list := make([]FanoutResult, len(copies))
	for i := range copies {
		list[i] = FanoutResult(copies[i])
	}
	return list
}
