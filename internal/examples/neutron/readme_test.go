//go:build unix

package neutron

import (
	"regexp"
	"testing"

	"github.com/oslorpc/oslorpc/internal/programtest"
)

// varying matches what differs each time: which server is at which address, and other parts of
// results.
var varying = []programtest.Mask{
	{Pattern: regexp.MustCompile(`\.\d+$`), Instead: ".N"},
	{Pattern: regexp.MustCompile(`"id":"[0-9a-f-]+"`), Instead: `"id":"…"`},
	{Pattern: regexp.MustCompile(`"subnets":.*`), Instead: `"subnets":…`},
	{Pattern: regexp.MustCompile(`neutron-server on \S+:`), Instead: `neutron-server on HOST:`},
}

// The README needs few commands, and they work as shown.
func TestReadme(t *testing.T) {
	session := programtest.ReadSession(t, source+"README.md")
	if n := len(session) - 1; n < 5 || n > 8 { // the last one tidies up
		t.Errorf("the README shows %d commands, want 5 to 8", n)
	}
	session.Run(t, "../../..", programtest.Local(t), varying...)
}
