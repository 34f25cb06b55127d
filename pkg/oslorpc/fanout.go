package oslorpc

import (
	"context"
	"errors"

	"github.com/oslorpc/oslorpc/internal/client"
)

// Report is the outcome of a fanout. Each server that was listed when the message was sent is in
// one of the lists, ordered by server name. Two kinds of servers are in no list: servers that left
// meanwhile, and servers that were replaced (nothing listens at their address, and another process
// has their name).
type Report struct {
	// Accepted are the servers that accepted the message.
	Accepted []FanoutResult
	// Skipped are servers that do not run the message because they drain, have another version, or
	// lack the method.
	Skipped []FanoutResult
	// Failed are servers that did not accept the message for any other reason, or may not have.
	Failed []FanoutResult
	// Uncertain is the reason why the list of servers may be out of date. If it is not nil, servers
	// that registered after the last successful read of discovery did not get the message. It is
	// nil if discovery could be read when the list was made.
	Uncertain error
}

// FanoutResult is the outcome of a fanout at one server.
type FanoutResult struct {
	// Instance is the server.
	Instance Instance
	// Unlisted is true if discovery no longer lists the server. The message was still sent to it,
	// because it is still connected, or because discovery lost its data.
	Unlisted bool
	// Err is nil if the server accepted the message. If it is not nil, the server may still have
	// accepted the message; [SafeToRetry] reports whether it provably did not.
	Err error
}

// Err joins the errors of the servers that failed. It returns nil if there are none. Skipped
// servers and an uncertain list are not failures: all known servers may have accepted the message.
// Check Uncertain as well if every server must get it.
func (r *Report) Err() error {
	var all []error
	for _, d := range r.Failed {
		all = append(all, d.Err)
	}
	return errors.Join(all...)
}

// Fanout runs a method on every server on the topic, and does not wait for the methods. It returns
// when each server has accepted the message or failed. The server in the client's target is
// ignored.
//
// If no server is on the topic, the report is empty and the error is nil. If no server is known
// because discovery cannot be read, the error is of kind [Unreachable]. If all servers denied the
// message, the error is of kind [AccessDenied], and there is a report as well. Any other error
// comes without a report and means that the message was sent to no server.
//
// The deadline is the deadline of ctx or of [WithTimeout], whichever is earlier; if there is
// neither, [DefaultCastTimeout] applies.
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
