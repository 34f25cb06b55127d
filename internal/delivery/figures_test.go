package delivery

import (
	"os"
	"strings"
	"testing"
	"time"
)

// The figures in docs/delivery.md equal the figures in the code. Other tests check that the code
// uses them.
func TestDocumentedFigures(t *testing.T) {
	text, err := os.ReadFile("../../docs/delivery.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := strings.Join(strings.Fields(string(text)), " ")
	for _, figure := range []struct {
		sentence  string
		says, has time.Duration
	}{
		{"A message waits 50 ms for a server that is connected for the first time", 50 * time.Millisecond, patience},
		{"It waits a second for a server to which a connection is already being made", time.Second, connectBudget},
		{"and for a stream on a connection that is up", time.Second, slotBudget},
		{"else `NoInstance` after half a second", 500 * time.Millisecond, settleTime},
		{"waits up to a second, then it is reported as failed", time.Second, fullWait},
	} {
		if !strings.Contains(documented, figure.sentence) || figure.says != figure.has {
			t.Errorf("the code has %v, and docs/delivery.md should say: %s", figure.has, figure.sentence)
		}
	}
}
