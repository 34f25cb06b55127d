//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package local

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// publication is the file of this process, if it has published anything.
type publication struct {
	dir    string
	unique string

	mu        sync.Mutex
	instances []rpc.Instance
	// file is the locked file at path. It is nil if nothing is published.
	file   *os.File
	path   string
	closed bool
	// failing is true while the file is missing and cannot be written again.
	failing bool
	// lapsed is called when a missing file was written again.
	lapsed func(reason string)
}

func newPublication(dir string) publication {
	return publication{dir: dir, unique: rand.Text(), lapsed: func(string) {}}
}

func (p *publication) published() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.file != nil
}

// set replaces the published instances.
func (p *publication) set(instances []rpc.Instance) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return &rpc.Error{Kind: rpc.Invalid, NotStarted: true, Message: "Publish on a registry that is closed"}
	}
	if len(instances) == 0 {
		return p.withdraw()
	}
	gone := p.file != nil && !p.inPlace()
	if err := p.write(instances); err != nil {
		return err
	}
	p.instances = slices.Clone(instances)
	if gone {
		p.lapsed(goneReason)
	}
	return nil
}

const goneReason = "the process's file was gone from the registry's directory"

func (p *publication) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return p.withdraw()
}

// check writes the file again if a program that cleans temporary directories, or a person, removed
// or replaced it.
func (p *publication) check() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil || p.inPlace() {
		p.failing = false
		return
	}
	err := p.write(p.instances)
	switch {
	case err == nil:
		slog.Warn("local registry: our file was gone and is back", "path", p.path)
		p.lapsed(goneReason)
	case !p.failing:
		slog.Warn("local registry: our file is gone and cannot be written; trying again", "path", p.path, "error", err)
	}
	p.failing = err != nil
}

func (p *publication) inPlace() bool {
	ours, err := p.file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(p.path)
	return err == nil && os.SameFile(ours, there)
}

// withdraw removes the file before it releases the lock, so that no reader finds the file without a
// lock.
func (p *publication) withdraw() error {
	if p.file == nil {
		return nil
	}
	err := os.Remove(p.path)
	_ = p.file.Close()
	p.file, p.instances = nil, nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unreachable(p.path, "cannot remove the file; it counts as dead all the same", err)
	}
	return nil
}

// write writes the file and moves it to its path. In the meantime, another program may remove the
// directory, or take the temporary file for the file of a dead process and remove it. Then write
// tries again.
func (p *publication) write(instances []rpc.Instance) error {
	text, err := encode(instances)
	if err != nil {
		return &rpc.Error{Kind: rpc.Invalid, NotStarted: true, Cause: err, Message: "local registry: " + err.Error()}
	}
	path := filepath.Join(p.dir, fileName(instances[0].BootID, p.unique))
	for range 3 {
		if err = p.tryWrite(path, text); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return err
}

func (p *publication) tryWrite(path string, text []byte) error {
	if err := ensure(p.dir); err != nil {
		return err
	}
	f, err := os.CreateTemp(p.dir, filepath.Base(path)+".*"+tempSuffix)
	if err != nil {
		return unreachable(p.dir, "cannot create a file", err)
	}
	if err := fill(f, text); err != nil {
		return discard(f, unreachable(f.Name(), "cannot write and lock the file", err))
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return discard(f, unreachable(f.Name(), "cannot rename the file to "+path, err))
	}
	p.release(path)
	p.file, p.path = f, path
	return nil
}

// fill locks the file before writing, so that it is never visible under its final name without a
// lock.
func fill(f *os.File, text []byte) error {
	if err := lock(int(f.Fd())); err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		return err
	}
	// Readers tell versions of a file apart by inode, time and size. The kernel's clock for files
	// has a resolution of milliseconds, and an inode can be reused within one tick. So set the
	// precise time.
	now := time.Now()
	return os.Chtimes(f.Name(), now, now)
}

func discard(f *os.File, err error) error {
	_ = os.Remove(f.Name())
	_ = f.Close()
	return err
}

// release closes the previous file after the new one has replaced it. A reader that opened the
// previous file before finds it without a lock, but then sees that another file is at its path.
func (p *publication) release(path string) {
	if p.file == nil {
		return
	}
	if p.path != path {
		_ = os.Remove(p.path)
	}
	_ = p.file.Close()
}
