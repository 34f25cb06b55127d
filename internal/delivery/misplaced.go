package delivery

import (
	"errors"
	"fmt"
	"time"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// misplacedTime is how long a message for a named server is retried at a static address where
// another server answers. A process that has just started may not have the server yet.
const misplacedTime = 2 * time.Second

// errMisplaced is the cause of the error about a static address where another server answers.
var errMisplaced = errors.New("another server answers there")

// misplaced reports whether err says that the process at a static address lacks the server that the
// transport URL names for that address.
func misplaced(e *route.Entry, err error) bool {
	return e.ID == "" && e.Server != "" && errors.Is(err, refusal.Misdirected)
}

// displaced returns the error about a server that is not at its address in the transport URL. Err
// is what the process there said.
func displaced(e *route.Entry, err error) error {
	return &rpc.Error{Kind: rpc.Refused, NotStarted: true, Cause: errors.Join(errMisplaced, err), Message: fmt.Sprintf(
		"server %q at %s is in the transport URL, and another server answers there: %s; correct the URL, or if a proxy has that address "+
			"for several servers, have it route by the headers of carrier=routed (docs/mesh.md)", e.Server, e.Addr, failure.Text(err))}
}

// noteMisplaced updates d.misplaced after an attempt that ended with err.
func (d *delivery) noteMisplaced(err error) {
	switch {
	case !errors.Is(err, errMisplaced):
		d.misplaced = time.Time{}
	case d.misplaced.IsZero():
		d.misplaced = time.Now()
	}
}

// isMisplaced reports whether the message's server has been absent from its address in the
// transport URL for a while, so that waiting does not help.
func (d *delivery) isMisplaced() bool {
	return d.Target.Server != "" && !d.misplaced.IsZero() && time.Since(d.misplaced) >= misplacedTime
}
