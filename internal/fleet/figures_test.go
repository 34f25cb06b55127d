package fleet

import (
	"os"
	"strings"
	"testing"
	"time"
)

// The figures in the documents equal the figures in the code. Other tests check that the code uses
// them.
func TestDocumentedFigures(t *testing.T) {
	for _, figure := range []struct {
		file, sentence string
		says, has      time.Duration
	}{
		{"delivery.md", "waits if this process saw it listed within the last minute", time.Minute, recentTime},
		{"delivery.md", "It waits at most three seconds for the first answer of discovery", 3 * time.Second, glanceTime},
		{"discovery.md", "ends a watch five minutes after it last used it", 5 * time.Minute, idleTime},
	} {
		text, err := os.ReadFile("../../docs/" + figure.file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(strings.Fields(string(text)), " "), figure.sentence) || figure.says != figure.has {
			t.Errorf("the code has %v, and docs/%s should say: %s", figure.has, figure.file, figure.sentence)
		}
	}
}
