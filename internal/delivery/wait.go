package delivery

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/oslorpc/oslorpc/internal/fleet"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// wait waits until another pick may succeed, after a pick that found no server. It returns an error
// if waiting does not help.
func (d *delivery) wait(ctx context.Context, view *route.View, verdict route.Verdict, news wakers) error {
	if d.since.IsZero() {
		d.since = time.Now()
	}
	absent, length, err := d.assess(view, verdict)
	if err != nil {
		return err
	}
	d.rounds++
	if (d.FailFast && absent) || (d.Rounds > 0 && d.rounds >= d.Rounds) {
		return d.last
	}
	// A message without a receiver is woken by a change of the view. It must also pick again from
	// time to time: a lingering instance may be connected again, a server may no longer count as
	// recent, and a topic is no longer watched if nothing uses it.
	if !absent || d.Rounds > 0 {
		length = min(minPause<<min(d.rounds, 10), maxPause)
		length = length/2 + rand.N(length)
	}
	if d.queued { // it has waited already
		d.queued, length = false, minPause
	}
	d.rest(ctx, view, length, news)
	return nil
}

// wakers are channels that are closed when another pick may succeed.
type wakers struct {
	changed <-chan struct{} // there is another view
	ready   <-chan struct{} // some server, perhaps of another topic, became ready
}

// rest waits until length has passed, the view changes, an instance of this view that can take the
// message becomes ready, or ctx ends.
func (d *delivery) rest(ctx context.Context, view *route.View, length time.Duration, news wakers) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	for {
		select {
		case <-news.changed:
			return
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		case <-news.ready:
			news.ready = d.topic.BecameReady()
			if d.pick(view) == route.Found && d.attempt.Entry.Link.Health().Connected() {
				return
			}
		}
	}
}

// assess interprets a pick that found no instance. Absent is true if no instance exists that could
// take the message. Length is the maximum time to wait for a change. An error means that waiting
// does not help.
func (d *delivery) assess(view *route.View, verdict route.Verdict) (absent bool, length time.Duration, err error) {
	switch verdict {
	case route.Unable:
		return false, 0, d.unableNow(view, d.Target.Server)
	case route.Away:
		d.last = d.unableNow(view, d.Target.Server)
		return true, maxPause, nil
	case route.NoServer:
		return d.assessNoServer(view)
	case route.Exhausted:
		if !d.able {
			return false, 0, d.unable
		}
		if d.FailFast && !d.reached || d.isMisplaced() {
			return false, 0, d.last
		}
		d.tried.Reset()
		d.triedByFallback = nil
		d.able, d.reached = false, false
		return false, 0, nil
	default:
		d.last = noInstance(absence(view, d.topic) + d.refusal)
		if astray := view.Astray(""); len(astray) > 0 {
			d.last = At(strayed(astray[0], astray[0].Astray), astray[0])
		}
		return true, maxPause, nil
	}
}

// assessNoServer is assess for a named server without an instance. A server that existed recently
// will probably come back. Only a client that has watched the topic for learnTime can tell whether
// it existed recently.
func (d *delivery) assessNoServer(view *route.View) (absent bool, length time.Duration, err error) {
	if astray := view.Astray(d.Target.Server); len(astray) > 0 {
		d.last = At(strayed(astray[0], astray[0].Astray), astray[0])
		return true, maxPause, nil
	}
	d.last = noInstance(fmt.Sprintf(
		"no server named %q is on the topic, according to %s; start it, or check its name", d.Target.Server, d.topic.Registry()))
	if d.topic.Recent(d.Target.Server) {
		return true, maxPause, nil
	}
	length = max(settleTime-time.Since(d.since), learnTime-d.topic.Watched())
	if length <= 0 {
		return true, 0, d.last
	}
	return true, length, nil
}

// pause waits until length has passed or ctx ends.
func pause(ctx context.Context, length time.Duration) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// absence explains why no server on a topic takes messages.
func absence(view *route.View, topic *fleet.Topic) string {
	if slices.ContainsFunc(view.Entries(), func(e *route.Entry) bool { return e.State == rpc.StateDraining && !e.Left }) {
		return "every server on the topic drains, and takes only messages for it by name"
	}
	return fmt.Sprintf("no server is on the topic, according to %s; start one, or check topic, exchange and transport URL", topic.Registry())
}

func noInstance(message string) error {
	return &rpc.Error{Kind: rpc.NoInstance, NotStarted: true, Message: message}
}
