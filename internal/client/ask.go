package client

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Ping returns how long an instance takes to answer, once its process is connected.
func (t *Transport) Ping(ctx context.Context, i rpc.Instance) (took time.Duration, err error) {
	err = t.ask(ctx, i, func(ctx context.Context, link carrier.Link) error {
		begin := time.Now()
		err := link.Ping(ctx, meant(i), i.ID)
		took = time.Since(begin)
		return err
	})
	return took, err
}

// Info returns what the process of an instance reports about itself and about its servers on the
// instance's topic. With requests, that includes which callers sent the servers what.
func (t *Transport) Info(ctx context.Context, i rpc.Instance, requests bool) (info *rpc.Info, err error) {
	err = t.ask(ctx, i, func(ctx context.Context, link carrier.Link) error {
		info, err = link.Info(ctx, meant(i), i.ID, requests)
		return err
	})
	return info, err
}

func meant(i rpc.Instance) identity.Server {
	return identity.Server{Exchange: i.Exchange, Topic: i.Topic, Name: i.Server}
}

// ask connects to the process of an instance and asks it a question.
func (t *Transport) ask(ctx context.Context, i rpc.Instance, question func(context.Context, carrier.Link) error) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, DefaultAskTimeout)
		defer cancel()
	}
	link, err := t.enter(ctx, i)
	defer t.config.Carrier.Put(link)
	switch {
	case errors.Is(err, net.ErrClosed):
		return t.errClosed()
	case err != nil:
		kind, text := link.Explain(i.Server, err)
		return placed(i, &rpc.Error{Kind: kind, NotStarted: true, Cause: err, Message: text})
	}
	defer link.Release()
	err = question(ctx, link)
	switch link.Health() {
	case carrier.Silent, carrier.Down:
		err = failure.With(err, func(e *rpc.Error) {
			kind, text := link.Explain(i.Server, errors.New(e.Message))
			if e.Message = text; e.NotStarted && e.Kind == rpc.Unreachable {
				e.Kind = kind
			}
		})
	}
	return placed(i, err)
}

// placed adds an instance to an error.
func placed(i rpc.Instance, err error) error {
	return failure.With(err, func(e *rpc.Error) { e.Server, e.InstanceID, e.Addr = i.Server, i.ID, i.Addr })
}

// enter connects to the process of an instance and enters the link for a question. The caller must
// release the link if there is no error, and put it back in any case. If messages use all places of
// the shared link, enter returns a link with its own connection.
func (t *Transport) enter(ctx context.Context, i rpc.Instance) (carrier.Link, error) {
	key := carrier.KeyOf(i)
	link := t.config.Carrier.Get(key)
	err := enter(ctx, link, 0)
	if !errors.Is(err, carrier.ErrFull) {
		return link, err
	}
	t.config.Carrier.Put(link)
	key.BootID += " asked"
	link = t.config.Carrier.Get(key)
	return link, enter(ctx, link, DefaultAskTimeout)
}

func enter(ctx context.Context, link carrier.Link, patience time.Duration) error {
	if err := link.Connect(ctx); err != nil {
		return err
	}
	return link.Enter(ctx, patience) // outstanding messages show whether the process answers
}
