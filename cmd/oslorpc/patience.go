package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// patience is how long a person waits before wondering why.
const patience = time.Second

// misspeltError ends the wait for servers of a topic that is probably misspelt.
type misspeltError struct{ hint string }

// Error returns the hint.
func (e *misspeltError) Error() string { return e.hint }

// watchWait watches messages that wait, and tells the user what they wait for. A message to a
// topic that looks misspelt does not wait, unless --fail-fast=false is given: misspelt, it looks
// the same as one whose servers start soon. The context that it returns is for sending. Call stop
// when the messages are sent.
func (m *message) watchWait(ctx context.Context) (sending context.Context, stop func()) {
	sending, giveUp := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		late := time.NewTimer(patience)
		defer late.Stop()
		select {
		case <-sending.Done():
		case <-late.C:
			if err := m.tellWhy(sending); err != nil {
				giveUp(err)
			}
		}
	})
	return sending, func() {
		giveUp(nil)
		watching.Wait()
	}
}

// tellWhy tells why messages may be waiting. It returns an error if they should not.
func (m *message) tellWhy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	all, err := m.transport.Instances(ctx)
	meant := m.selection()
	there := slices.DeleteFunc(slices.Clone(all), func(i oslorpc.Instance) bool { return !meant.has(i) })
	switch s := meant.suggest(all); {
	case errors.Is(ctx.Err(), context.Canceled): // it does not wait any more
	case err != nil:
		m.program.notef("waiting: %v", err)
	case len(there) > 0:
		m.tellWhoIsSilent(ctx, there)
	case s.misspelt && !m.waits:
		return &misspeltError{s.text}
	case s.text != "":
		m.program.notef("waiting: %s; %s", meant.absent(), s.text)
	default:
		m.program.notef("waiting: %s; with --fail-fast it would not wait", meant.absent())
	}
	return nil
}

// tellWhoIsSilent tells what is wrong with the known servers if none of them answers.
func (m *message) tellWhoIsSilent(ctx context.Context, there []oslorpc.Instance) {
	there = there[:min(len(there), askAtOnce)]
	pongs := ask(there, func(i oslorpc.Instance) pong {
		took, err := m.transport.Ping(ctx, i)
		return pong{i, took, err}
	})
	if errors.Is(ctx.Err(), context.Canceled) || slices.ContainsFunc(pongs, func(p pong) bool { return p.err == nil }) {
		return
	}
	m.program.notef("waiting: %v", pongs[0].err)
}

// selection returns the receiver of the message.
func (m *message) selection() *selection {
	s := &selection{exchange: m.target.Exchange, topic: m.target.Topic, server: m.target.Server}
	s.setExchange(m.transport)
	return s
}

// explain adds a suggestion to the error of a message that no server took.
func (m *message) explain(ctx, sending context.Context, err error) error {
	err = m.args.explain(err)
	if misspelt, is := errors.AsType[*misspeltError](context.Cause(sending)); is && oslorpc.SafeToRetry(err) {
		return &hinted{error: m.notThere(), hint: misspelt.hint + " (--fail-fast=false waits for it all the same)"}
	}
	if oslorpc.KindOf(err) != oslorpc.NoInstance || ctx.Err() != nil {
		return err
	}
	if hint := m.hint(ctx); hint != "" {
		return &hinted{error: err, hint: hint}
	}
	return err
}

// hint says what may have been meant by a message without a receiver; nothing, if that cannot be
// told soon.
func (m *message) hint(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	all, err := m.transport.Instances(ctx)
	if err != nil {
		return ""
	}
	return m.selection().suggest(all).text
}

func (m *message) notThere() error {
	return &oslorpc.Error{
		Kind: oslorpc.NoInstance, NotStarted: true, Target: m.target, Method: m.method, Message: m.selection().absent(),
	}
}
