package conformance

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/anycarrier"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func TestMain(m *testing.M) { anycarrier.Main(m) }

// row has the fields that the rows of all tables have.
type row struct {
	// id is the ID of the case. Letters after the number distinguish parts of one case.
	id string
	// because says how oslo.messaging differs from the row, and why oslorpc differs on purpose. It
	// is empty if there is no difference.
	because string
}

func (r row) header() row { return r }

type headed interface{ header() row }

// each runs check for each row of a table. The table must have the cases from prefix1 to prefixN,
// except for leftOut, which are cases about features that do not exist yet.
func each[R headed](t *testing.T, prefix string, n int, leftOut []string, table []R, check func(*testing.T, R)) {
	t.Helper()
	ids := make([]string, 0, len(table))
	for _, r := range table {
		ids = append(ids, r.header().id)
	}
	if err := complete(prefix, n, leftOut, ids); err != nil {
		t.Error(err)
	}
	for _, id := range leftOut {
		t.Attr("left-out", id)
	}
	for _, r := range table {
		one(t, r.header(), func(t *testing.T) { check(t, r) })
	}
}

// one runs the check of one row.
func one(t *testing.T, r row, check func(*testing.T)) {
	t.Helper()
	t.Run(r.id, func(t *testing.T) {
		if r.because != "" {
			t.Attr("because", r.because)
		}
		check(t)
	})
}

// complete returns an error unless the IDs are exactly the cases of a table that are not left out,
// each once.
func complete(prefix string, n int, leftOut, ids []string) error {
	seen := map[string]bool{}
	var wrong []error
	for _, id := range ids {
		if seen[id] || slices.Contains(leftOut, id) {
			wrong = append(wrong, fmt.Errorf("the row %s appears twice, or is both left out and in the table", id))
		}
		seen[id] = true
		seen[strings.TrimRight(id, "abcdefghijklmnopqrstuvwxyz")] = true
	}
	for i := 1; i <= n; i++ {
		id := fmt.Sprintf("%s%d", prefix, i)
		if !seen[id] && !slices.Contains(leftOut, id) {
			wrong = append(wrong, fmt.Errorf("the row %s is missing", id))
		}
	}
	return errors.Join(wrong...)
}

func TestComplete(t *testing.T) {
	for name, test := range map[string]struct {
		leftOut, ids []string
		want         string
	}{
		"all":           {nil, []string{"X1", "X2"}, ""},
		"parts":         {nil, []string{"X1", "X2a", "X2b"}, ""},
		"left out":      {[]string{"X2"}, []string{"X1"}, ""},
		"missing":       {nil, []string{"X1"}, "X2 is missing"},
		"twice":         {nil, []string{"X1", "X2", "X2"}, "X2 appears twice"},
		"both":          {[]string{"X2"}, []string{"X1", "X2"}, "both left out and in the table"},
		"another table": {nil, []string{"X1", "Y2"}, "X2 is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			err := complete("X", 2, test.leftOut, test.ids)
			if (err == nil) != (test.want == "") || (err != nil && !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// wantKind fails unless err is of a kind and proves that nothing ran.
func wantKind(t *testing.T, err error, kind oslorpc.Kind) {
	t.Helper()
	if oslorpc.KindOf(err) != kind || !oslorpc.SafeToRetry(err) {
		t.Errorf("got %v (%s, safe to retry: %v), want %s", err, oslorpc.KindOf(err).Name(), oslorpc.SafeToRetry(err), kind.Name())
	}
}
