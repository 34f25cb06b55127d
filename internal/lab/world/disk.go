//go:build linux

package world

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/oslorpc/oslorpc/internal/lab/history"
)

// immutable is FS_IMMUTABLE_FL of linux/fs.h.
const immutable = 0x10

// Disk is a separate small file system, which has the processes' registry.
type Disk struct {
	w        *World
	dir      string
	registry string
}

// Disk mounts a disk, or skips the scenario where that is not possible. Processes use the registry
// there from now on.
func (w *World) Disk() *Disk {
	dir := w.Scratch("disk")
	d := &Disk{w: w, dir: dir, registry: filepath.Join(dir, "registry")}
	if err := syscall.Mount("oslorpclab", d.dir, "tmpfs", 0, "size=256k,mode=0700"); err != nil {
		w.Skipf("mounting a file system needs root: %v", err)
	}
	w.cleanup(func() { w.Must(syscall.Unmount(d.dir, 0)) })
	w.URL = "local://" + d.registry
	return d
}

// ReadOnly makes the registry's directory read-only, even for root, or writable again.
func (d *Disk) ReadOnly(is bool) {
	flags := 0
	if is {
		flags = immutable
		d.w.Injectf("a read-only directory")
	} else {
		d.w.Eventf(history.Noted, "", "the directory is writable")
	}
	dir, err := os.Open(d.registry)
	d.w.Must(err)
	defer dir.Close()
	d.w.Must(unix.IoctlSetPointerInt(int(dir.Fd()), unix.FS_IOC_SETFLAGS, flags))
}

// Fill fills the disk.
func (d *Disk) Fill() {
	d.w.Injectf("a full disk")
	file, err := os.Create(filepath.Join(d.dir, "filler"))
	d.w.Must(err)
	defer file.Close()
	for block := make([]byte, 4096); ; {
		if _, err := file.Write(block); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			d.w.Must(err)
		}
	}
}

// Empty undoes Fill.
func (d *Disk) Empty() {
	d.w.Eventf(history.Noted, "", "the disk has room")
	d.w.Must(os.Remove(filepath.Join(d.dir, "filler")))
}
