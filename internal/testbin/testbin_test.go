package testbin

import (
	"path/filepath"
	"testing"

	"github.com/oslorpc/oslorpc/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestFindOnPath(t *testing.T) {
	path, err := Find("go", "tools", "example.com/nothing")
	if err != nil || !filepath.IsAbs(path) {
		t.Errorf("got %q, %v", path, err)
	}
}

func TestFindReportsWhatCannotBeBuilt(t *testing.T) {
	if path, err := Find("no-such-program", "tools", "example.com/nothing"); err == nil {
		t.Errorf("found %s", path)
	}
}

func TestFindOutsideTheRepository(t *testing.T) {
	t.Chdir(t.TempDir())
	if path, err := Find("no-such-program", "tools", "example.com/nothing"); err == nil {
		t.Errorf("found %s", path)
	}
}
