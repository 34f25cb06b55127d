//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package local

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// put makes a file, and holds its lock if alive is true.
func put(t *testing.T, dir, name, text string, alive bool) string {
	t.Helper()
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	must(t, err)
	if alive {
		must(t, lock(int(f.Fd())))
		t.Cleanup(func() { _ = f.Close() })
	} else {
		defer f.Close()
	}
	_, err = f.WriteString(text)
	must(t, err)
	return path
}

// logged captures the log from now on. Tests that use it cannot be parallel.
func logged(t *testing.T) *bytes.Buffer {
	t.Helper()
	var text bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&text, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return &text
}

// named returns the file name of a process.
func named(bootID string) string { return fileName(bootID, strings.Repeat("A", uniqueLength)) }

const someone = `{"format":1,"instances":[{"id":"a","boot_id":"b","exchange":"openstack","topic":"compute","state":"active"}]}`

func TestUnreadableFilesAreSkipped(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", "unexpected end"},
		{"garbage", "\x00\xff{", "invalid character"},
		{"not an object", "[]", "cannot unmarshal"},
		{"no format", "{}", "format 0"},
		{"newer format", `{"format":2,"servers":{}}`, "format 2"},
		{"wrong type", `{"format":1,"instances":[{"id":1}]}`, "cannot unmarshal"},
		{"bad implementation", strings.Replace(someone, `"id"`, `"implemented":["x"],"id"`, 1), "is not of the form"},
		{"bad version", strings.Replace(someone, `"id"`, `"implemented":["x=1"],"id"`, 1), "malformed"},
		{"large", strings.Repeat(" ", maxSize+1), "more than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := newDir(t)
			r := openAt(t, dir)
			put(t, dir, named("good"), someone, true)
			path := put(t, dir, named("bad"), test.text, true)
			log := logged(t)
			for range 3 {
				wantIDs(t, r, "a")
			}
			if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, path) || !strings.Contains(text, test.want) {
				t.Errorf("want one warning with the path and %q, got:\n%s", test.want, text)
			}
			if _, err := os.Lstat(path); err != nil {
				t.Errorf("the file of a live process: %v", err)
			}
		})
	}
}

func TestForbiddenFileIsSkipped(t *testing.T) {
	s := newScanner(newDir(t))
	log := logged(t)
	s.entries = map[string]*entry{"x": s.unreadable("x", "/dir/x", os.ErrPermission)}
	if again := s.unreadable("x", "/dir/x", os.ErrPermission); again != s.entries["x"] {
		t.Error("it is another entry each time")
	}
	if strings.Count(log.String(), "\n") != 1 {
		t.Errorf("want one warning, got:\n%s", log)
	}
}

func TestUnknownFieldsAreIgnored(t *testing.T) {
	dir := newDir(t)
	r := openAt(t, dir)
	put(t, dir, named("x"), strings.Replace(someone, `"id"`, `"rack":{"x":1},"id"`, 1), true)
	wantIDs(t, r, "a")
}

// TestWhatScansRemove has all kinds of files in the directory. Only files that a dead process left
// are removed.
func TestWhatScansRemove(t *testing.T) {
	dir := newDir(t)
	r := openAt(t, dir)
	old := time.Now().Add(-2 * staleAfter)
	for _, f := range []struct {
		name              string
		alive, old, stays bool
		text              string
	}{
		{named("dead"), false, false, false, someone},
		{named("dead-old"), false, true, false, someone},
		{named("live"), true, true, true, someone},
		{named("x") + ".1.tmp", false, true, false, someone},
		{named("x") + ".2.tmp", false, false, true, someone},
		{named("x") + ".3.tmp", true, true, true, someone},
		{"notes.json", false, true, true, someone},
		{"oslorpc-settings.json", false, true, true, `{"theme":"dark"}`},
		{"oslorpc-settings.json.5.tmp", false, true, true, someone},
		{"oslorpc-backup-of-node1.json", false, true, true, someone},
		{"oslorpc-" + strings.Repeat("b", 2*uniqueLength) + ".json", false, true, true, someone},
		{"oslorpc-node1-" + strings.Repeat("b", uniqueLength) + ".json", false, true, true, someone},
		{"oslorpc-node1" + strings.Repeat("B", uniqueLength) + ".json", false, true, true, someone},
		{named("foreign"), false, true, true, `{"theme":"dark"}`},
		{named("empty"), false, true, true, ""},
		{named("later"), false, true, true, `{"format":2}`},
		{"oslorpc-" + strings.Repeat("A", uniqueLength) + ".json", false, true, true, someone},
		{"oslorpc-notes.txt", false, true, true, someone},
		{"x.json.4.tmp", false, true, true, someone},
	} {
		t.Run(f.name, func(t *testing.T) {
			path := put(t, dir, f.name, f.text, f.alive)
			if f.old {
				must(t, os.Chtimes(path, old, old))
			}
			for range 2 {
				_ = ids(t, r)
			}
			if stays := slices.Contains(files(t, dir), f.name); stays != f.stays {
				t.Errorf("it is still there: %v, want %v", stays, f.stays)
			}
		})
	}
}

func TestOddFiles(t *testing.T) {
	dir := newDir(t)
	r := openAt(t, dir)
	target := put(t, t.TempDir(), "target.json", someone, false)
	must(t, os.Symlink(target, filepath.Join(dir, named("link"))))
	must(t, os.Mkdir(filepath.Join(dir, named("dir")), 0o700))
	must(t, unix.Mkfifo(filepath.Join(dir, named("pipe")), 0o600))
	wantIDs(t, r)
	if left := files(t, dir); len(left) != 3 {
		t.Errorf("of a link, a directory and a pipe there are %q", left)
	}
}

// TestDeadVerdict has a reader that opened a file just before the owner replaced it.
func TestDeadVerdict(t *testing.T) {
	dir := newDir(t)
	r := openAt(t, dir)
	publish(t, r, instance("a"))
	path := r.own.path
	fd, err := openFile(path)
	must(t, err)
	defer syscall.Close(fd)
	publish(t, r, instance("a"))
	if held, err := owned(fd); held || err != nil {
		t.Fatalf("the replaced file is held: %v, %v", held, err)
	}
	if dead, err := removeDead(fd, path); dead || err != nil {
		t.Errorf("removeDead: %v, %v, want it to see the new file", dead, err)
	}
	wantIDs(t, r, "a")
}

// TestReadersDoNotFoolEachOther has two readers that look at a dead file at the same time.
func TestReadersDoNotFoolEachOther(t *testing.T) {
	path := put(t, t.TempDir(), "x", "", false)
	for range 2 {
		fd, err := openFile(path)
		must(t, err)
		defer syscall.Close(fd)
		if held, err := owned(fd); held || err != nil {
			t.Errorf("owned: %v, %v, want a free lock", held, err)
		}
	}
}

func TestUnchangedFilesAreNotParsedAgain(t *testing.T) {
	dir := newDir(t)
	owner := openAt(t, dir)
	s := newScanner(dir)
	scan := func() *entry {
		t.Helper()
		must(t, s.scan())
		return s.entries[filepath.Base(owner.own.path)]
	}
	i := instance("a")
	publish(t, owner, i)
	first, generation := scan(), s.generation
	if second := scan(); second != first || s.generation != generation {
		t.Error("a scan without changes made another entry or generation")
	}
	// The file has the same size, its time differs by less than the clock's resolution, and it may
	// have the same inode.
	for n := range 50 {
		i.Server = string(rune('a' + n%26))
		publish(t, owner, i)
		if e := scan(); e.instances[0].Server != i.Server {
			t.Fatalf("rewrite %d: the server is %q, want %q", n, e.instances[0].Server, i.Server)
		}
	}
	if s.generation != generation+50 {
		t.Errorf("50 changes made %d generations", s.generation-generation)
	}
}

func TestDirectoryCannotBeRead(t *testing.T) {
	dir := newDir(t)
	r := openAt(t, dir)
	must(t, os.Remove(dir))
	wantIDs(t, r)
	must(t, os.WriteFile(dir, nil, 0o600))
	if _, err := r.List(t.Context()); !errors.Is(err, rpc.Invalid) {
		t.Errorf("List: %v, want kind %q", err, rpc.Invalid)
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"", "{}", someone, `{"format":1,"instances":[{"implemented":["a%20b=1.2.3","=1.0"]}]}`, `{"format":2}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		instances, err := decode(text)
		if err != nil {
			return
		}
		written, err := encode(instances)
		must(t, err)
		again, err := decode(written)
		if err != nil || !slices.EqualFunc(again, instances, rpc.Instance.Equal) {
			t.Fatalf("%s gave %+v, and again %+v, %v", text, instances, again, err)
		}
	})
}
