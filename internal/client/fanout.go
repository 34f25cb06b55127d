package client

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/delivery"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Report is the outcome of a fanout. The lists are ordered by server name.
type Report struct {
	// Accepted are the servers that took the message. Skipped are servers that cannot or must not take
	// it. Failed are servers that did not take it for another reason.
	Accepted, Skipped, Failed []Copy
	// Uncertain is why there may be other servers; nil if there are none.
	Uncertain error
}

// Copy is the outcome of a fanout at one server.
type Copy struct {
	Instance rpc.Instance
	// Unlisted is true if discovery no longer lists the server.
	Unlisted bool
	Err      error
}

// Fanout has every server on the topic run a method, without waiting for it. If all servers denied
// the message, it returns both a report and an error.
func (c *Client) Fanout(ctx context.Context, method string, args any) (*Report, error) {
	f := &fanning{operation: c.dynamic(&fanouts, method, args, nil)}
	err := f.run(ctx, f)
	return f.report, err
}

// fanning is a fanout in progress.
type fanning struct {
	*operation

	report *Report // nil until the message was sent
	// copied is the request of the attempt that is being started.
	copied carrier.Request
}

func (f *fanning) deliver(ctx context.Context) error {
	f.message.Size = f.size()
	audience, err := delivery.AudienceOf(ctx, f.client.watched(), &f.message)
	if err != nil {
		return err
	}
	f.client.transport.warnNameless(ctx, audience)
	results := delivery.All(ctx, audience, f.send, f.start)
	f.report = newReport(audience.Uncertain, results)
	return delivery.Denied(results)
}

func (f *fanning) send(ctx context.Context, a delivery.Attempt) error {
	_, err := f.do(ctx, a)
	return err
}

// start makes an attempt without waiting for the answer, unless interceptors must see the whole
// attempt. One goroutine calls it, so all attempts share a request.
func (f *fanning) start(ctx context.Context, a delivery.Attempt) delivery.Started {
	link, can := a.Entry.Link.(carrier.Starter)
	if !can || len(f.client.transport.attempts) > 0 {
		return nil
	}
	copyTo(&f.copied, &f.request)
	f.fit(&f.copied, a)
	started := link.Start(ctx, &f.copied)
	if started == nil {
		return nil
	}
	return func(late <-chan struct{}) (error, bool) {
		err, ended := started.Wait(late)
		if errors.Is(err, carrier.ErrUnsent) {
			return f.send(ctx, a), ended
		}
		return f.explain(ctx, err), ended
	}
}

func newReport(uncertain error, results []delivery.Result) *Report {
	slices.SortFunc(results, func(a, b delivery.Result) int { return byServer(&a.Entry.Instance, &b.Entry.Instance) })
	r := &Report{Uncertain: uncertain}
	for i := range results {
		list := &r.Failed
		switch result := &results[i]; {
		case result.Err == nil:
			list = &r.Accepted
		case result.Skipped:
			list = &r.Skipped
		}
		if *list == nil { // most are in one list
			*list = make([]Copy, 0, len(results)-i)
		}
		*list = append(*list, Copy{Instance: results[i].Entry.Instance, Unlisted: results[i].Entry.Unlisted, Err: results[i].Err})
	}
	return r
}

// byServer orders instances of a topic.
func byServer(a, b *rpc.Instance) int {
	return cmp.Or(strings.Compare(a.Server, b.Server), strings.Compare(a.ID, b.ID))
}
