// Package attached is the gateway's side of servers in processes that cannot be dialled. Such a
// process opens a stream to the gateway. The stream carries one connection, on which the gateway is
// the client of the process's servers.
//
// [Servers] answers the RPC, provides the connections to the gateway's own clients, and adds the
// instances to the registry of these clients while they are attached. The gateway announces the
// instances with its own address; see [Servers.Beside].
//
// Locks are taken in this order: the lock of the gateway's host, the lock of [Servers], the locks
// of views.
package attached

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Config is the configuration of [Servers]. Its fields are required, unless they say otherwise.
type Config struct {
	// Announce publishes the result of Beside in discovery, and returns when that is done. Settle
	// does the same in the background.
	Announce func(ctx context.Context) error
	Settle   func()
	// Identity is the rule for the name that each server must prove; nil accepts any.
	Identity identity.Rule
	// Processes is how many processes may be attached, and Instances how many instances each may
	// have; 0 for the defaults.
	Processes, Instances int
	Log                  *slog.Logger
}

// These are the defaults of the limits.
const (
	maxProcesses = 4096
	maxInstances = 1000
)

// Servers are the attached servers of a gateway. They are safe for concurrent use.
type Servers struct {
	config Config

	mu      sync.Mutex // guards what follows
	carrier carrier.Carrier
	bootID  string // the gateway's boot id; empty until Beside is called
	closing chan struct{}
	left    bool // closing is closed
	hidden  bool // nothing is announced any more
	// streams has all processes with an open stream. Processes has those that have published
	// servers, by their boot ids.
	streams   map[*process]bool
	processes map[string]*process
	// changed is closed, and replaced, at each change of the attached instances.
	changed chan struct{}
	views   map[*view]bool // the current watches
}

// New returns the attached servers of a gateway, of which there are none yet.
func New(c Config) *Servers {
	if c.Processes == 0 {
		c.Processes = maxProcesses
	}
	if c.Instances == 0 {
		c.Instances = maxInstances
	}
	return &Servers{
		config: c, closing: make(chan struct{}), streams: map[*process]bool{}, processes: map[string]*process{},
		changed: make(chan struct{}), views: map[*view]bool{},
	}
}

// Use sets the carrier that connects the gateway to the processes, through [Servers.Dial]. It must
// be called before the first process attaches.
func (s *Servers) Use(c carrier.Carrier) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.carrier = c
}

// scheme is the prefix of the addresses of attached processes. They are valid within the gateway
// only.
const scheme = "attached:"

// IsAddr reports whether an address belongs to an attached process.
func IsAddr(addr string) bool { return strings.HasPrefix(addr, scheme) }

// Dial returns the connection to an attached process. It returns each connection only once. If no
// such process is attached, or its connection was returned before, the error is ECONNREFUSED, as
// for an address where no program listens.
func (s *Servers) Dial(ctx context.Context, addr string) (net.Conn, error) {
	s.mu.Lock()
	p := s.processes[strings.TrimPrefix(addr, scheme)]
	s.mu.Unlock()
	if p == nil || !p.take() {
		return nil, fmt.Errorf("no process is attached as %s: %w", addr, syscall.ECONNREFUSED)
	}
	return p.tunnel, ctx.Err()
}

// Beside returns the instances of all attached servers with the boot id and the address of the
// gateway, which announces them.
func (s *Servers) Beside(bootID, addr string) []rpc.Instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bootID = bootID
	if s.hidden {
		return nil
	}
	list := s.instances()
	for i := range list {
		list[i].BootID, list[i].Addr = bootID, addr
	}
	return list
}

// instances returns all instances, with the addresses at which the gateway reaches them. The lock
// is held.
func (s *Servers) instances() (list []rpc.Instance) {
	for _, p := range s.processes {
		list = append(list, p.instances...)
	}
	return list
}

// tell delivers the current instances to all watches. The lock is held.
func (s *Servers) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
	for v := range s.views {
		v.deliver()
	}
}

// Instance returns an attached instance. It returns false if the instance is not attached.
func (s *Servers) Instance(id string) (rpc.Instance, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.processes {
		for _, i := range p.instances {
			if i.ID == id {
				return i, true
			}
		}
	}
	return rpc.Instance{}, false
}

// Process describes an attached process.
type Process struct {
	// Peer is the other end of its stream, with the identity that it proved.
	Peer rpc.Peer
	// Instances are its servers.
	Instances []rpc.Instance
}

// List returns the attached processes that have published servers, ordered by boot id.
func (s *Servers) List() []Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Process, 0, len(s.processes))
	for _, boot := range slices.Sorted(maps.Keys(s.processes)) {
		p := s.processes[boot]
		list = append(list, Process{p.peer, slices.Clone(p.instances)})
	}
	return list
}

// TellClosing tells all processes that the gateway will stop soon. Processes that attach later are
// refused.
func (s *Servers) TellClosing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.left {
		s.left = true
		close(s.closing)
	}
}

// Hide stops announcing instances. Attached processes are still served.
func (s *Servers) Hide() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hidden = true
}

// Leave calls TellClosing, and returns when all processes have left, or when ctx ends. Processes
// that have not left are still served.
func (s *Servers) Leave(ctx context.Context) {
	s.TellClosing()
	for {
		s.mu.Lock()
		stay, changed := len(s.instances()), s.changed
		s.mu.Unlock()
		if stay == 0 {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// Close ends the connections to all processes. Data that the processes have sent arrives first.
func (s *Servers) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.streams {
		_ = p.tunnel.Close() // it never fails
	}
}
