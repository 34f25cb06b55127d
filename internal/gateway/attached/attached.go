// Package attached serves processes that cannot be dialled, and attach to a gateway instead. Such a
// process opens a stream to the gateway. The stream carries one connection, over which the gateway
// is the client of the process's servers.
//
// [Servers] answers the RPC, gives the connections to the gateway's own clients, and adds the
// instances to the discovery of these clients, from the moment they are attached until the stream
// ends. The gateway announces the instances as its own; see [Servers.Beside].
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

// Config says which servers a gateway accepts. Its fields are required, unless they say otherwise.
type Config struct {
	// Announce makes discovery publish the result of Beside now. Settle does so in the background.
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
	bootID  string // of the gateway, once it announced something
	closing chan struct{}
	left    bool // closing is closed
	hidden  bool // nothing is announced any more
	// streams has the attached processes. Processes has those among them that serve anything, by
	// their boot ids.
	streams   map[*process]bool
	processes map[string]*process
	// changed is closed, and replaced, at each change of the attached instances.
	changed chan struct{}
	views   map[*view]bool
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
// such process is attached, the error is ECONNREFUSED, as for an address where no program listens.
func (s *Servers) Dial(ctx context.Context, addr string) (net.Conn, error) {
	s.mu.Lock()
	p := s.processes[strings.TrimPrefix(addr, scheme)]
	s.mu.Unlock()
	if p == nil || !p.take() {
		return nil, fmt.Errorf("no process is attached as %s: %w", addr, syscall.ECONNREFUSED)
	}
	return p.tunnel, ctx.Err()
}

// Beside returns the instances that the gateway announces as its own.
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

// tell makes all views deliver the current instances. The lock is held.
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
	// Peer is the process with the identity that it proved.
	Peer rpc.Peer
	// Instances are its servers.
	Instances []rpc.Instance
}

// List returns the attached processes that serve anything, in a stable order.
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

// Leave calls TellClosing. It returns when all processes have left for another gateway, or when ctx
// ends. Processes that have not left are still served.
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
