package client

import (
	"strings"
	"testing"
)

// No ID may reveal another. A process that could guess the IDs of a sender could use them before
// the sender does.
func TestIDsAreUniqueAndUnlike(t *testing.T) {
	t.Parallel()
	a, b := newIDs(), newIDs()
	seen, firsts := map[string]bool{}, map[string]bool{}
	for range 2000 {
		for _, id := range []string{a.next(&idBlock{}), b.next(&idBlock{})} {
			if len(id) != 22 || seen[id] {
				t.Fatalf("the id %q is malformed or repeated", id)
			}
			seen[id] = true
			firsts[strings.ToLower(id[:3])] = true
		}
	}
	if len(firsts) < 2000 {
		t.Errorf("4000 ids have %d beginnings", len(firsts))
	}
}
