package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

const (
	// patience is how long the callers may take to notice a change of the fleet.
	patience = 30 * time.Second
	// glance is the interval at which to check whether they have.
	glance = 10 * time.Millisecond
)

// timeline runs the upgrade, and prints it.
type timeline struct {
	fleet *fleet
	load  *load
	// calls is how many calls must be answered between two changes.
	calls int
	began time.Time
}

func newTimeline(f *fleet, l *load, calls int) *timeline {
	return &timeline{fleet: f, load: l, calls: calls, began: time.Now()}
}

// run upgrades the fleet and takes it back down.
func (t *timeline) run(ctx context.Context) error {
	fmt.Printf("%d callers, half of them dynamic and half typed; a server that is being replaced is shown as -\n\n", callers)
	fmt.Println("   TIME  NODE1 NODE2 NODE3 NODE4 NODE5  AUTO CAP  HELD BY                        CALLS/S  AT 1.1  AT 1.2  FAILED")
	if err := t.change(ctx, func() error { return nil }); err != nil {
		return err
	}
	for _, release := range []string{newRelease, oldRelease} {
		fmt.Printf("\nreplace each by a %s server\n", release)
		for i := range size {
			if err := t.replace(ctx, i, release); err != nil {
				return err
			}
		}
	}
	return nil
}

// replace stops a server gracefully, and starts another one with its name.
func (t *timeline) replace(ctx context.Context, i int, release string) error {
	if err := t.change(ctx, func() error { return t.fleet.stop(i) }); err != nil {
		return err
	}
	return t.change(ctx, func() error { return t.fleet.start(ctx, i, release) })
}

// change changes the fleet, and prints a line about the period until the callers have noticed and
// made some more calls, which must all run at the version of the cap.
func (t *timeline) change(ctx context.Context, act func() error) error {
	changing := t.load.count(oslorpc.Version{})
	if err := act(); err != nil {
		return err
	}
	if err := t.await(ctx, "the callers see the change", t.seen); err != nil {
		return err
	}
	version, holders := t.fleet.ceiling()
	steady := t.load.count(version)
	enough := func(context.Context) (bool, error) { return sum(steady).calls >= t.calls, nil }
	if err := t.await(ctx, "enough calls are answered", enough); err != nil {
		return err
	}
	t.print(version, holders, sum(changing, steady))
	return nil
}

// seen reports whether both clients have the correct cap, and every server has answered with its
// current release.
func (t *timeline) seen(ctx context.Context) (bool, error) {
	version, holders := t.fleet.ceiling()
	for _, a := range t.load.apis {
		why, err := a.Why(ctx)
		if err != nil {
			return false, err
		}
		other := func(i oslorpc.Instance) bool { return !holders[i.Server] }
		if why.Version != version || len(why.Holders) != len(holders) || slices.ContainsFunc(why.Holders, other) {
			return false, nil
		}
	}
	for i := range size {
		if release := t.fleet.release(i); release != "" && t.load.says(name(i)) != release {
			return false, nil
		}
	}
	return true, nil
}

// await waits for a condition.
func (t *timeline) await(ctx context.Context, what string, done func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for {
		if ok, err := done(ctx); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("while waiting until %s: %w", what, ctx.Err())
		}
	}
}

// print prints a line.
func (t *timeline) print(version oslorpc.Version, holders map[string]bool, s summary) {
	fmt.Printf("%6.1fs ", time.Since(t.began).Seconds())
	var held []string
	for i := range size {
		release := t.fleet.release(i)
		if release == "" {
			release = "-"
		}
		if holders[name(i)] {
			held = append(held, name(i))
		}
		fmt.Printf(" %-5s", release)
	}
	fmt.Printf("  %-8s  %-29s  %7.0f %7d %7d %7d\n", version, strings.Join(held, " "), s.perSecond, s.atOld, s.atNew, s.failed)
}
