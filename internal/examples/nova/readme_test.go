//go:build unix

package nova

import (
	"regexp"
	"testing"

	"github.com/oslorpc/oslorpc/internal/programtest"
)

// varying matches what differs each time: the host of a compute, its uptime, and the width of
// tables.
var varying = []programtest.Mask{
	{Pattern: regexp.MustCompile(`(?:127\.0\.0\.1:\d+|unix:\S+?\.sock)`), Instead: "PORT"},
	{Pattern: regexp.MustCompile(`  \d+s  \S+$`), Instead: "  SINCE  BUILD"},
	{Pattern: regexp.MustCompile(` {2,}`), Instead: "  "},
}

// The session in the README works as shown.
func TestReadme(t *testing.T) {
	t.Parallel()
	session := programtest.ReadSession(t, source+"README.md").Replace("local:///tmp/east", programtest.Local(t))
	session.Run(t, "../../..", programtest.Local(t), varying...)
}
