// Package upgrade is the common part of the two forms of the example: the topic and the answers.
// Its interface is the example of Neutron's developer guide, as a dynamic interface in package
// dynamic and as a protobuf service in package typed:
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

// Topic is the topic of the servers.
const Topic = "upgrade"

// DefaultArg2 is the arg2 of my_remote_method_2 for callers that do not send one, for example
// because they do not know it.
const DefaultArg2 = "default"

// Releases has the version of each release, so that an operator can write `cap = caracal` without
// knowing versions.
var Releases = map[string]string{"bobcat": "1.0", "caracal": "1.1", "dalmatian": "1.2"}

// Answer is the result of every method. A field that is added to a result needs no new version:
// clients ignore fields that they do not know, and must work without fields that an old server does
// not send.
type Answer struct {
	// Server ran the method, and Release is the latest version that it implements.
	Server  string `json:"server"`
	Release string `json:"release"`
	// Version is the version that the message asked for.
	Version string `json:"version"`
	// Arg2 is empty if the server does not know it.
	Arg2 string `json:"arg2,omitempty"`
}

// work is how long a method takes, so that there are calls in progress whenever a server stops.
const work = 5 * time.Millisecond

// Work does the work of a method, and returns its answer.
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

// String describes the answer on one line.
func (a Answer) String() string {
	return fmt.Sprintf("%s, a %s server, ran it at %s with arg2=%s", a.Server, a.Release, a.Version, cmp.Or(a.Arg2, "(unknown to it)"))
}
