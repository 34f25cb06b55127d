//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package local

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// staleAfter is how long a temporary file may exist without a lock.
const staleAfter = time.Minute

// maxSize bounds the size of a file, in bytes. No process publishes that much.
const maxSize = 16 << 20

// scanner reads the directory. It parses only changed files, but tests the lock of every file in
// each scan.
type scanner struct {
	dir string
	// directory describes the directory at the last scan. It is nil if the directory did not exist.
	directory fs.FileInfo
	entries   map[string]*entry
	// generation changes with the entries; it is never 0.
	generation uint64
	// lost is true if the directory was removed or replaced since takeLost was last called.
	lost bool
}

// entry is the file of a live process.
type entry struct {
	// identity is zero if the file cannot be opened.
	identity identity
	// instances is empty if the file cannot be read.
	instances []rpc.Instance
}

func newScanner(dir string) scanner { return scanner{dir: dir, generation: 1} }

// scan reads the directory.
func (s *scanner) scan() error {
	directory, err := verify(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if s.directory != nil && (directory == nil || !os.SameFile(s.directory, directory)) {
		s.lost = true
	}
	s.directory = directory
	if directory == nil {
		s.replace(nil)
		return nil
	}
	names, err := s.names()
	if err != nil {
		return unreachable(s.dir, "cannot read the directory", err)
	}
	found := make(map[string]*entry, len(names))
	for name := range names {
		e, err := s.read(name)
		if err != nil {
			return unreachable(filepath.Join(s.dir, name), "cannot read the file", err)
		}
		if e != nil {
			found[name] = e
		}
	}
	s.replace(found)
	return nil
}

func (s *scanner) replace(found map[string]*entry) {
	same := len(found) == len(s.entries)
	for name, e := range found {
		same = same && s.entries[name] == e
	}
	if !same {
		s.generation++
	}
	s.entries = found
}

// takeLost reports whether the directory was lost since the last call.
func (s *scanner) takeLost() bool {
	lost := s.lost
	s.lost = false
	return lost
}

// instances returns the instances on a topic, or all instances if topic is nil.
func (s *scanner) instances(topic *registry.Topic) []rpc.Instance {
	var instances []rpc.Instance
	for _, e := range s.entries {
		for _, i := range e.instances {
			if topic == nil || (i.Exchange == topic.Exchange && i.Topic == topic.Name) {
				instances = append(instances, i)
			}
		}
	}
	return instances
}

// names returns the names of all files that may exist. A listing is not a snapshot: on tmpfs and
// btrfs it can miss a file that is replaced at the same time. So names adds the names known from
// the last scan, and lists until a listing adds no name.
func (s *scanner) names() (map[string]bool, error) {
	names := make(map[string]bool, len(s.entries))
	for name := range s.entries {
		names[name] = true
	}
	for more := true; more; {
		before := len(names)
		listed, err := os.ReadDir(s.dir)
		if err != nil {
			return nil, err
		}
		for _, l := range listed {
			if s.wanted(l) {
				names[l.Name()] = true
			}
		}
		more = len(names) > before
	}
	return names, nil
}

// wanted reports whether a file is a process's file. It removes a stale temporary file.
func (s *scanner) wanted(l fs.DirEntry) bool {
	if !l.Type().IsRegular() {
		return false
	}
	if isTempFile(l.Name()) {
		s.sweep(l)
	}
	return isProcessFile(l.Name())
}

// sweep removes a temporary file whose owner is dead. A live owner may not have locked the file
// yet, so the file must also be old.
func (s *scanner) sweep(l fs.DirEntry) {
	info, err := l.Info()
	if err != nil || time.Since(info.ModTime()) < staleAfter {
		return
	}
	path := filepath.Join(s.dir, l.Name())
	fd, err := openFile(path)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if held, err := owned(fd); err == nil && !held {
		_, _ = removeDead(fd, path)
	}
}

// read returns the entry of a file, or nil if there is no such file, or its process is dead.
func (s *scanner) read(name string) (*entry, error) {
	path := s.dir + "/" + name
	for range 100 {
		e, settled, err := s.tryRead(name, path)
		if settled || err != nil {
			return e, err
		}
	}
	// The owner rewrites the file faster than we read it, so the owner is alive.
	return s.entries[name], nil
}

// tryRead reads a file once. Settled is false if the file was replaced meanwhile.
func (s *scanner) tryRead(name, path string) (e *entry, settled bool, err error) {
	fd, err := openFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, true, nil
	case errors.Is(err, fs.ErrPermission):
		return s.unreadable(name, path, err), true, nil
	case err != nil:
		return nil, false, err
	}
	defer unix.Close(fd)
	held, err := owned(fd)
	if err != nil {
		return nil, false, err
	}
	if !held {
		return s.bury(name, path, fd)
	}
	e, err = s.parse(name, path, fd)
	return e, err == nil, err
}

// bury removes the file of a dead process. If the file has no instances, another program may have
// created it. Then the file stays, and becomes an entry without instances.
func (s *scanner) bury(name, path string, fd int) (e *entry, settled bool, err error) {
	e, err = s.parse(name, path, fd)
	if err != nil {
		return nil, false, err
	}
	if len(e.instances) > 0 {
		if settled, err = removeDead(fd, path); settled {
			removeSockets(s.dir, e.instances)
		}
		return nil, settled, err
	}
	there, err := identifyPath(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, true, nil
	}
	return e, err == nil && e.identity.sameFile(there), err
}

// unreadable returns an entry without instances. It returns the same entry for as long as the file
// cannot be opened.
func (s *scanner) unreadable(name, path string, err error) *entry {
	if e := s.entries[name]; e != nil && e.identity == (identity{}) {
		return e
	}
	skipping(path, err)
	return &entry{}
}

func skipping(path string, err error) {
	slog.Warn("local registry: skipping a file that cannot be read", "path", path, "error", err)
}

// removeDead removes a file that has no lock. It returns false if another file is at the path now,
// because the owner has just replaced it. The caller must hold the shared lock of the file, so that
// the file at the path stays the same.
func removeDead(fd int, path string) (bool, error) {
	opened, err := identify(fd)
	if err != nil {
		return false, err
	}
	there, err := identifyPath(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil || !opened.sameFile(there) {
		return false, err
	}
	// The process is dead even if its file cannot be removed, or another reader removed it first.
	_ = os.Remove(path)
	return true, nil
}

// parse returns the entry of a file. It returns the previous entry if the file did not change.
func (s *scanner) parse(name, path string, fd int) (*entry, error) {
	now, err := identify(fd)
	if err != nil {
		return nil, err
	}
	if e := s.entries[name]; e != nil && e.identity == now {
		return e, nil
	}
	e := &entry{identity: now}
	text, err := content(fd, now.size)
	if err == nil {
		e.instances, err = decode(text)
	}
	if err != nil {
		skipping(path, err)
	}
	return e, nil
}

// content returns the content of a file. Files do not change after they were renamed to their final
// name.
func content(fd int, size int64) ([]byte, error) {
	if size > maxSize {
		return nil, fmt.Errorf("it has %d bytes, more than %d", size, maxSize)
	}
	text := make([]byte, size)
	for done := 0; done < len(text); {
		n, err := unix.Pread(fd, text[done:], int64(done))
		if err != nil && err != unix.EINTR {
			return nil, err
		}
		if n == 0 {
			return nil, io.ErrUnexpectedEOF
		}
		done += max(n, 0)
	}
	return text, nil
}
