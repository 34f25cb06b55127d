//go:build linux

package role

import (
	"context"
	"fmt"
	"os"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/lab/history"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func (c *Client) options() []oslorpc.TransportOption {
	if !c.Interceptor {
		return nil
	}
	return []oslorpc.TransportOption{oslorpc.WithDialOptions(grpc.WithStreamInterceptor(
		func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
			return open(ctx, desc, conn, method, options...)
		}))}
}

// send sends a message in its form, and records the answer.
func (l *loader) send(ctx context.Context, client *oslorpc.Client, m message) error {
	switch m.op.Form {
	case history.Call, history.Monitored:
		answer, err := oslorpc.Call[Answer](ctx, client, "work", m.job)
		m.op.Instance = answer.Instance
		return err
	case history.Cast:
		return client.Cast(ctx, "work", m.job)
	case history.Fanout:
		report, err := client.Fanout(ctx, "work", m.job)
		l.report(m, report)
		return err
	case history.Gather:
		return l.gather(ctx, client, m)
	case history.Multicall:
		return m.multicall(ctx, client)
	default:
		return l.sendTyped(ctx, client, m)
	}
}

func (m message) multicall(ctx context.Context, client *oslorpc.Client) error {
	for answer, err := range oslorpc.Multicall[Answer](ctx, client, "count", m.job) {
		if err != nil {
			return err
		}
		m.item(answer)
	}
	return nil
}

// item records the next item of a stream.
func (m message) item(answer Answer) {
	m.op.Instance = answer.Instance
	m.op.Items++
	if answer.Item != m.op.Items && m.op.Gap == "" {
		m.op.Gap = fmt.Sprintf("item %d came as number %d", answer.Item, m.op.Items)
	}
}

func (l *loader) report(m message, report *oslorpc.Report) {
	if report == nil {
		return
	}
	m.op.Uncertain = report.Uncertain != nil
	for _, d := range report.Accepted {
		m.op.Report = append(m.op.Report, l.outcome(d.Instance, history.Accepted, d.Err))
	}
	for _, d := range report.Skipped {
		m.op.Report = append(m.op.Report, l.outcome(d.Instance, history.Skipped, d.Err))
	}
	for _, d := range report.Failed {
		m.op.Report = append(m.op.Report, l.outcome(d.Instance, history.Failed, d.Err))
	}
}

func (l *loader) gather(ctx context.Context, client *oslorpc.Client, m message) error {
	for reply, err := range oslorpc.Gather[Answer](ctx, client, "work", m.job) {
		m.op.Uncertain = reply.Uncertain != nil
		switch {
		case err == nil:
			o := l.outcome(reply.Instance, history.Replied, nil)
			o.By = reply.Value.Instance
			m.op.Report = append(m.op.Report, o)
		case reply.Total == 0:
			return err
		case reply.Skipped:
			m.op.Report = append(m.op.Report, l.outcome(reply.Instance, history.Skipped, err))
		default:
			m.op.Report = append(m.op.Report, l.outcome(reply.Instance, history.Failed, err))
		}
	}
	return nil
}

func (l *loader) outcome(i oslorpc.Instance, verdict history.Verdict, err error) history.Outcome {
	o := history.Outcome{Server: i.Server, Instance: l.config.instanceOf(i), Verdict: verdict}
	if err != nil {
		o.Kind, o.Error, o.Safe = oslorpc.KindOf(err).Name(), err.Error(), oslorpc.SafeToRetry(err)
	}
	return o
}

// leak leaks resources, if the sabotage says so.
func (l *loader) leak() {
	if l.Sabotage != Leak {
		return
	}
	go func() { select {} }()
	_, _, _ = os.Pipe() //nolint:dogsled // The leak is intended.
}
