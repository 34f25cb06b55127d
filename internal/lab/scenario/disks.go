//go:build linux

package scenario

import (
	"os"
	"time"

	"github.com/oslorpc/oslorpc/internal/lab/role"
	"github.com/oslorpc/oslorpc/internal/lab/world"
)

// disks are about local://.
var disks = []Scenario{
	{Name: "local-removed", What: "the registry's directory is removed", Short: true, Run: localRemoved},
	{Name: "local-read-only", What: "the registry's directory becomes read-only", Run: localReadOnly},
	{Name: "local-disk-full", What: "the registry's file system is full", Run: localDiskFull},
	{Name: "few-descriptors", What: "a server has no descriptors left for a while", Run: fewDescriptors},
}

func localRemoved(w *world.World) {
	w.Servers(4)
	l := w.Usual()
	l.Servers = []string{"s2"}
	w.Load(l)
	for range world.Scale(w, 2, 1) {
		w.Reach(200)
		w.Injectf("the directory removed")
		w.Must(os.RemoveAll(w.LocalDir()))
		w.Wait(world.Scale(w, 10*time.Second, 3*time.Second))
	}
	w.Serve("late", role.Server{})
	w.Wait(world.Scale(w, 10*time.Second, 4*time.Second))
	w.Restart("s1", role.Server{})
	w.Reach(200)
}

func localReadOnly(w *world.World) {
	disk := w.Disk()
	w.Servers(4)
	w.Load(w.Usual())
	w.Reach(200)
	disk.ReadOnly(true)
	w.Wait(10 * time.Second)
	w.Kill("s4")
	w.Wait(5 * time.Second)
	disk.ReadOnly(false)
	w.Serve("s4", role.Server{})
	w.Restart("s1", role.Server{})
	w.Reach(200)
}

func localDiskFull(w *world.World) {
	disk := w.Disk()
	w.Servers(4)
	w.Load(w.Usual())
	w.Reach(200)
	disk.Fill()
	w.Wait(10 * time.Second)
	w.Kill("s4")
	w.Stop("s3")
	w.Wait(5 * time.Second)
	disk.Empty()
	w.Serve("s4", role.Server{})
	w.Restart("s1", role.Server{})
	w.Reach(200)
}

// fewDescriptors checks that a server that cannot accept connections does not keep messages from
// others.
func fewDescriptors(w *world.World) {
	addr := w.FreeAddr()
	w.Servers(2)
	w.ServeOther("few", role.Config{Descriptors: 40, Server: &role.Server{Listen: addr}})
	l := w.Usual()
	w.Load(l)
	w.Reach(200)
	letGo := w.Hog(addr, 40)
	w.Reach(200)
	end := w.Excuse("it cannot accept connections of new clients", "Unreachable", "Timeout", "OutcomeUnknown")
	late := l
	late.Processes, late.Callers, late.Timeout = 1, 4, 5*time.Second
	w.Load(late)
	w.Wait(10 * time.Second)
	letGo()
	w.Wait(10 * time.Second)
	end()
	w.Reach(200)
}
