//go:build unix

package nova

import (
	"regexp"
	"testing"

	"github.com/oslorpc/oslorpc/internal/programtest"
)

// varying is what differs each time: where a compute is, and for how long it has been up. Tables
// are as wide as that.
var varying = []programtest.Mask{
	{Pattern: regexp.MustCompile(`(?:127\.0\.0\.1:\d+|unix:\S+?\.sock)`), Instead: "PORT"},
	{Pattern: regexp.MustCompile(`  \d+s  \S+$`), Instead: "  SINCE  BUILD"},
	{Pattern: regexp.MustCompile(` {2,}`), Instead: "  "},
}

// What the README shows is what happens.
func TestReadme(t *testing.T) {
	t.Parallel()
	session := programtest.ReadSession(t, source+"README.md").Replace("local:///tmp/east", programtest.Local(t))
	session.Run(t, "../../..", programtest.Local(t), varying...)
}
