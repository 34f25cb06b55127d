// Package upgrade has what the two forms of the example share: the topic, and who answered. Its
// interface is the one of Neutron's developer guide, once as a dynamic interface in package dynamic
// and once as a protobuf service in package typed:
//
//	1.0 - Initial version: my_remote_method(arg1, arg2)
//	1.1 - Added my_remote_method_2(arg1)
//	1.2 - Added arg2 to my_remote_method_2, with a default
package upgrade

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Topic is what the servers are found by.
const Topic = "upgrade"

// DefaultArg2 is the arg2 of my_remote_method_2 for callers that do not give one, such as those
// that do not know it.
const DefaultArg2 = "default"

// Releases says what the releases of the program implement, so that an operator can write `cap =
// caracal` and need not know versions.
var Releases = map[string]string{"bobcat": "1.0", "caracal": "1.1", "dalmatian": "1.2"}

// Answer is the result of every method. A field that is added to a result needs no new version:
// clients leave out what they do not know, and must do without what an old server does not send.
type Answer struct {
	// Server ran the method, and Release is the latest version that it implements.
	Server  string `json:"server"`
	Release string `json:"release"`
	// Version is the one that the message asked for.
	Version string `json:"version"`
	// Arg2 is empty from a server that does not know it.
	Arg2 string `json:"arg2,omitempty"`
}

// work is how long a method takes, so that calls are under way whenever a server stops.
const work = 5 * time.Millisecond

// Work does what a method has to do, and returns its answer.
func Work(ctx context.Context, release, arg2 string) (Answer, error) {
	timer := time.NewTimer(work)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return Answer{}, ctx.Err()
	}
	asked := oslorpc.MessageFrom(ctx)
	return Answer{Server: asked.Server, Release: release, Version: asked.Target.Version, Arg2: arg2}, nil
}

// String says it in a line.
func (a Answer) String() string {
	return fmt.Sprintf("%s, a %s server, ran it at %s with arg2=%s", a.Server, a.Release, a.Version, cmp.Or(a.Arg2, "(unknown to it)"))
}
