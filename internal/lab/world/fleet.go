//go:build linux

package world

import (
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/oslorpc/oslorpc/internal/lab/history"
	"github.com/oslorpc/oslorpc/internal/lab/role"
)

// launchServer starts a server process without waiting until it is ready.
func (w *World) launchServer(name string, s role.Server, where Place) *Process {
	if s.Names == nil {
		s.Names = []string{name}
	}
	if s.Topics == nil {
		s.Topics = []string{topic}
	}
	switch {
	case s.Listen != "":
	case where.Net != nil:
		s.Listen = where.Net.Addr + ":0"
	default:
		s.Listen = w.host + ":0"
	}
	return w.launch(name, role.Config{Server: &s}, where)
}

// Serve starts a server process, and returns when it is ready.
func (w *World) Serve(name string, s role.Server) { w.ServeAt(name, s, Place{}) }

// ServeAt is Serve in a place.
func (w *World) ServeAt(name string, s role.Server, where Place) {
	w.await(w.launchServer(name, s, where))
}

// Servers starts n servers, named s1, s2 and so on, and returns when all are ready.
func (w *World) Servers(n int, like ...role.Server) []string {
	var s role.Server
	if len(like) > 0 {
		s = like[0]
	}
	var names []string
	var all []*Process
	for i := range n {
		name := fmt.Sprintf("s%d", i+1)
		names = append(names, name)
		all = append(all, w.launchServer(name, s, Place{}))
	}
	for _, p := range all {
		w.await(p)
	}
	return names
}

// ServeOther starts a server with another transport URL, or with fewer descriptors.
func (w *World) ServeOther(name string, c role.Config) {
	c.Server.Names = append(c.Server.Names, name)
	if c.Server.Topics == nil {
		c.Server.Topics = []string{topic}
	}
	if c.Server.Listen == "" {
		c.Server.Listen = w.host + ":0"
	}
	w.await(w.launch(name, c, Place{}))
}

// Restart stops a server gracefully and starts another one with the same name.
func (w *World) Restart(name string, s role.Server) { w.RestartAt(name, s, Place{}) }

// RestartAt is Restart, with a place for the new server.
func (w *World) RestartAt(name string, s role.Server, where Place) {
	w.Injectf("restart")
	w.Stop(name)
	w.ServeAt(name, s, where)
}

// Load says which clients to start, and what they send.
type Load struct {
	role.Client

	// Processes is the number of clients.
	Processes int
	// URL and Descriptors are for the clients' processes, if they differ from the world's.
	URL         string
	Descriptors uint64
	Where       Place
}

// Usual is the load of most scenarios: messages of all forms, from two processes.
func (w *World) Usual() Load {
	return Load{Processes: 2, Client: role.Client{
		Forms: history.Forms, Callers: Scale(w, 16, 8), Pace: 5 * time.Millisecond, Timeout: Scale(w, 10*time.Second, 15*time.Second),
		Length: 2 * time.Millisecond, Items: 8, Monitor: 5 * time.Second, Fails: 0.05,
	}}
}

// Load starts clients, and returns when they have begun and their first operations have ended.
func (w *World) Load(l Load) []*Process {
	if l.Topics == nil {
		l.Topics = []string{topic}
	}
	if l.Processes == 0 {
		l.Processes = 1
	}
	var all []*Process
	for range l.Processes {
		client := l.Client
		client.Seed = w.Random.Uint64()
		p := w.launch(fmt.Sprintf("c%d", len(w.loads)+1), role.Config{Client: &client, URL: l.URL, Descriptors: l.Descriptors}, l.Where)
		w.loads = append(w.loads, p)
		all = append(all, p)
	}
	for _, p := range all {
		w.await(p)
	}
	return all
}

// Ended returns how many operations have ended.
func (w *World) Ended() int64 {
	var n int64
	for _, p := range w.loads {
		n += p.ops.Load()
	}
	return n
}

// Reach waits until more operations have ended.
func (w *World) Reach(more int64) {
	goal := w.Ended() + more
	w.Until(fmt.Sprintf("%d more operations end", more), 2*time.Minute, func() bool { return w.Ended() >= goal })
}

// StopLoad stops the clients' sending, waits for outstanding operations, and returns when the
// clients have ended.
func (w *World) StopLoad() {
	for _, p := range w.loads {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	}
	for _, p := range w.loads {
		if w.processes[p.base] == p {
			w.end(p)
		}
	}
}

// Await waits until clients that end by themselves have ended.
func (w *World) Await(clients []*Process) {
	for _, p := range clients {
		w.end(p)
	}
}

// FreeAddr returns an address of the loopback interface that was free just now.
func (w *World) FreeAddr() string {
	l := w.listen()
	w.Must(l.Close())
	return l.Addr().String()
}

// listen listens on the world's address.
func (w *World) listen() net.Listener {
	l, err := net.Listen("tcp", w.host+":0") //nolint:noctx // It is at once.
	w.Must(err)
	return l
}

// Hog opens connections to an address and keeps them open.
func (w *World) Hog(addr string, connections int) (letGo func()) {
	w.Injectf("no descriptors left")
	var all []net.Conn
	for range connections {
		conn, err := net.Dial("tcp", addr) //nolint:noctx // On this machine, it is at once.
		w.Must(err)
		all = append(all, conn)
	}
	return func() {
		for _, conn := range all {
			_ = conn.Close()
		}
	}
}
