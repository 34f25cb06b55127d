package send

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/instances"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// patience is how long a message may wait before the user is told why.
const patience = time.Second

// misspeltError ends the wait for servers of a topic that is probably misspelt.
type misspeltError struct{ hint string }

// Error returns the hint.
func (e *misspeltError) Error() string { return e.hint }

// watchWait tells the user why messages wait, if they do. A message to a topic that looks misspelt
// fails instead of waiting. With --fail-fast=false it waits, because its servers might start soon.
// Use the returned context for sending. Call stop when the messages are sent.
func (m *message) watchWait(ctx context.Context) (sending context.Context, stop func()) {
	begun := time.Now()
	sending, giveUp := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		late := time.NewTimer(patience)
		defer late.Stop()
		select {
		case <-sending.Done():
		case <-late.C:
			if err := m.explainWait(sending, begun); err != nil {
				giveUp(err)
			}
		}
	})
	return sending, func() {
		giveUp(nil)
		watching.Wait()
	}
}

// explainWait tells the user why messages may be waiting. It returns an error if they should not
// wait.
func (m *message) explainWait(ctx context.Context, begun time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	all, err := m.transport.Instances(ctx)
	receiver := m.selection()
	there := receiver.Of(all)
	switch meant := receiver.Suggest(m.transport, all); {
	case errors.Is(ctx.Err(), context.Canceled): // it does not wait any more
	case err != nil:
		m.noteWait(begun, withoutKind(err))
	case len(there) > 0:
		m.explainSilence(ctx, begun, there)
	case meant.Misspelt && !m.waits:
		return &misspeltError{meant.Text}
	case meant.Empty:
		m.noteWait(begun, fmt.Sprintf("%s, according to %s; --fail-fast does not wait", receiver.Absent(), m.transport))
	case meant.Text != "":
		m.noteWait(begun, receiver.Absent()+"; "+meant.Text)
	default:
		m.noteWait(begun, receiver.Absent()+"; --fail-fast does not wait")
	}
	return nil
}

// explainSilence tells the user what is wrong with the known servers if none of them answers.
func (m *message) explainSilence(ctx context.Context, begun time.Time, there []oslorpc.Instance) {
	there = there[:min(len(there), instances.AskAtOnce)]
	failures := instances.Ask(there, func(i oslorpc.Instance) error {
		_, err := m.transport.Ping(ctx, i)
		return err
	})
	if !errors.Is(ctx.Err(), context.Canceled) && !slices.Contains(failures, nil) {
		m.noteWait(begun, withoutKind(failures[0]))
	}
}

// noteWait tells the user why a message waits, and for how long. Only the first of several messages
// is watched.
func (m *message) noteWait(begun time.Time, why string) {
	left := m.timeout - time.Since(begun)
	m.program.Notef("waiting: %s; gives up in %s", why, max(left.Round(time.Second), time.Second))
}

// withoutKind returns the text of an error without its kind. It is for notes: the message still
// waits and has not failed.
func withoutKind(err error) string {
	return strings.TrimPrefix(err.Error(), oslorpc.KindOf(err).String()+": ")
}

// selection returns the receiver of the message.
func (m *message) selection() *instances.Selection {
	s := &instances.Selection{Exchange: m.target.Exchange, Topic: m.target.Topic, Server: m.target.Server}
	s.SetExchange(m.transport)
	return s
}

// explain adds a suggestion to the error of a message that no server accepted.
func (m *message) explain(ctx, sending context.Context, err error) error {
	err = m.args.explain(err)
	if misspelt, is := errors.AsType[*misspeltError](context.Cause(sending)); is && oslorpc.SafeToRetry(err) {
		return cli.WithHint(m.noReceiver(), misspelt.hint+" (--fail-fast=false waits for it all the same)")
	}
	if oslorpc.KindOf(err) != oslorpc.NoInstance || ctx.Err() != nil {
		return err
	}
	if hint := m.hint(ctx); hint.Text != "" && !hint.Empty { // of an empty fleet the error tells enough
		return cli.WithHint(err, hint.Text)
	}
	return err
}

// hint suggests what the user may have meant by a message without a receiver. It is empty if
// discovery does not answer soon.
func (m *message) hint(ctx context.Context) instances.Suggestion {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	all, err := m.transport.Instances(ctx)
	if err != nil {
		return instances.Suggestion{}
	}
	return m.selection().Suggest(m.transport, all)
}

func (m *message) noReceiver() error {
	return &oslorpc.Error{
		Kind: oslorpc.NoInstance, NotStarted: true, Target: m.target, Method: m.method, Message: m.selection().Absent(),
	}
}
